"""What a tool should have reported: latencies of a server's own log, by each of the definitions in use.

The clock of a request begins when the server has read it, or when it was due; a chunk's time is the one right before
it is handed to the kernel. Pure functions; all in seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench_deepspeed.measure.statistics import percentile

from .log import Served

PERCENTS = (50, 99)
Clock = Callable[[Served], float]
"""When the clock of a request begins."""


def from_send(request: Served) -> float:
    """The clock of most tools: it begins when a request is sent."""
    return request.received_s


def from_due(requests: Sequence[Served], rate: float) -> Clock:
    """The clock that begins when a request was due, of evenly spaced ones.

    Request i of n was due at o + i ∕ rate, with the latest o for which none came before it was due.
    """
    order = sorted(request.received_s for request in requests)
    origin = min(came - number / rate for number, came in enumerate(order))
    due = {came: origin + number / rate for number, came in enumerate(order)}
    return lambda request: due[request.received_s]


def _ttft(request: Served, clock: Clock) -> list[float]:
    return [request.writes[0].before_s - clock(request)]


def _e2e(request: Served, clock: Clock) -> list[float]:
    return [request.writes[-1].before_s - clock(request)]


def _e2e_per_token(request: Served, clock: Clock) -> list[float]:
    return [_e2e(request, clock)[0] / request.tokens]


def _tpot(request: Served, _clock: Clock) -> list[float]:
    return [_apart_s(request) / (request.tokens - 1)] if _apart_s(request) else []


def _tpot_after_chunk(request: Served, _clock: Clock) -> list[float]:
    return [_apart_s(request) / (request.tokens - request.writes[0].tokens)] if _apart_s(request) else []


def _apart_s(request: Served) -> float:
    return request.writes[-1].before_s - request.writes[0].before_s


def _itl(request: Served, _clock: Clock) -> list[float]:
    return [gap_s / count for gap_s, count in _gaps(request) for _ in range(count)]


def _chunk_gap(request: Served, _clock: Clock) -> list[float]:
    return [gap_s for gap_s, _ in _gaps(request)]


def _token_gap(request: Served, _clock: Clock) -> list[float]:
    """The tokens of the first chunk after its first token have no gap either."""
    within = [0.0] * (request.tokens - len(request.writes))
    return within + [gap_s for gap_s, _ in _gaps(request)]


def _gaps(request: Served) -> list[tuple[float, int]]:
    return [(later.before_s - earlier.before_s, later.tokens) for earlier, later in itertools.pairwise(request.writes)]


@dataclass(frozen=True)
class Definition:
    """One definition of a latency: the metric that it is one of, in words, and its values for one request."""

    metric: str
    meaning: str
    values: Callable[[Served, Clock], list[float]]
    clocked: bool = False
    """Whether it depends on when the clock begins."""


LATENCIES = {
    "ttft": Definition("TTFT", "first chunk − start of the clock", _ttft, True),
    "tpot": Definition("TPOT", "(last − first chunk) ∕ (tokens − 1)", _tpot),
    "tpot_after_chunk": Definition("TPOT", "(last − first chunk) ∕ (tokens after the first chunk)", _tpot_after_chunk),
    "e2e_per_token": Definition("TPOT", "(last chunk − start of the clock) ∕ tokens", _e2e_per_token, True),
    "itl": Definition("ITL", "gap before a chunk ∕ its tokens, once for each of them", _itl),
    "chunk_gap": Definition("ITL", "gap before a chunk, whatever it holds", _chunk_gap),
    "token_gap": Definition("ITL", "gap before a token, 0 within a chunk", _token_gap),
    "e2e": Definition("E2E", "last chunk − start of the clock", _e2e, True),
}
"""The definitions in use."""

FIRST = ("ttft", "tpot", "itl", "e2e")
"""This suite's definition of each metric."""


def latencies(requests: Sequence[Served], clock: Clock) -> dict[str, dict[str, float]]:
    """The percentiles of each latency of the requests that ended well, in seconds."""
    ok = [request for request in requests if request.ok]
    values = {
        name: [value for request in ok for value in one.values(request, clock)] for name, one in LATENCIES.items()
    }
    return {name: percentiles(found) for name, found in values.items()}


def throughput(requests: Sequence[Served]) -> float:
    """Tokens a second, from when the first request came to when the last of them ended."""
    ok = [request for request in requests if request.ok]
    start_s = min(request.received_s for request in requests)
    return sum(request.tokens for request in ok) / (max(request.writes[-1].before_s for request in ok) - start_s)


def throughput_between(requests: Sequence[Served], start_s: float, end_s: float) -> float:
    """Tokens a second that were handed over between two moments."""
    writes = [write for request in requests for write in request.writes if start_s <= write.before_s < end_s]
    return sum(write.tokens for write in writes) / (end_s - start_s)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """The percentiles of a latency by their names, such as "p50"; none without values."""
    return {f"p{percent}": percentile(list(values), percent) for percent in PERCENTS} if values else {}
