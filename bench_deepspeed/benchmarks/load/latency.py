"""The times of one request: how its tokens came, and its latencies. Pure functions; all in seconds.

Of a request with n tokens: E2E = last token − due, TTFT = first token − due, TPOT = (last − first) ∕ (n − 1). A request
that failed has no end: its latencies are infinite.

Tokens that come together are a chunk, since servers may hand over several at once. ITL is the gap between a chunk and
the one before, divided by the tokens of the chunk, once for each of them. Where a server sends chunks of which the
tokens are not known (`Level.token_chunks`), there is no ITL, only the gap between chunks.
"""

from __future__ import annotations

import itertools
import math

from .generator import InFlightRequest
from .records import Record

CHUNK_S = 0.001
"""Tokens that come within this time of a chunk's first belong to it: a network may part what was sent at once."""
EMA_SPAN = 16
"""The span of the moving average in FastGen's benchmark."""

Chunk = tuple[float, int]
"""Seconds since the chunk before (0.0 for the first), and its tokens."""


def record(flight: InFlightRequest) -> Record:
    """A request as it is kept: rounded to the microsecond, its tokens as chunks."""
    times = flight.times
    return Record(
        due_s=round(flight.request.due_s, 6),
        sent_s=_rounded(flight.sent_s),
        first_s=_rounded(times[0] if times else None),
        last_s=_rounded(times[-1] if times else None),
        prompt_tokens=flight.count.prompt if flight.count else flight.request.prompt_tokens,
        max_tokens=flight.request.max_tokens,
        new_tokens=flight.new_tokens,
        slowest_ema_s=_rounded(slowest_ema([later - earlier for earlier, later in itertools.pairwise(times)])),
        error=flight.error,
        chunks=_as_text(_chunks(times)),
        counted_by=flight.count and flight.count.by,
        tokenizer_tokens=flight.count and flight.count.by_tokenizer,
    )


def _chunks(times: list[float]) -> list[Chunk]:
    starts: list[int] = []
    for index, moment in enumerate(times):
        if not starts or moment - times[starts[-1]] >= CHUNK_S:
            starts.append(index)
    edges = zip([0, *starts], starts, [*starts[1:], len(times)], strict=False)
    return [(times[start] - times[before], end - start) for before, start, end in edges]


def _as_text(chunks: list[Chunk]) -> str:
    """Microseconds, and behind an x the number of tokens where it is not one: "0 12088 80000x8"."""
    return " ".join(f"{round(1e6 * gap)}" + (f"x{tokens}" if tokens > 1 else "") for gap, tokens in chunks)


def chunks_of(record: Record) -> list[Chunk] | None:
    """The chunks of a request; None in files from before they were kept."""
    if record.chunks is None:
        return None
    parts = (text.partition("x") for text in record.chunks.split())
    return [(int(gap) / 1e6, int(tokens or 1)) for gap, _, tokens in parts]


def itl(record: Record) -> list[float] | None:
    """ITL of each token after the first chunk, infinite for one that did not come; None as for `chunks_of`."""
    chunks = chunks_of(record)
    if chunks is None:
        return None
    came = [gap / tokens for gap, tokens in chunks[1:] for _ in range(tokens)]
    missing = record.max_tokens - max(record.new_tokens, 1) if record.error is not None else 0
    return came + [math.inf] * missing


def e2e(record: Record) -> float:
    """From when a request was due to its last token."""
    return math.inf if record.error is not None else _between(record.due_s, record.last_s)


def ttft(record: Record) -> float:
    """From when a request was due to its first token."""
    return math.inf if record.error is not None else _between(record.due_s, record.first_s)


def tpot(record: Record) -> float | None:
    """For each output token after the first; None for a request of a single token, or whose tokens came all at once."""
    if record.error is not None:
        return math.inf if record.max_tokens > 1 else None
    apart_s = _between(record.first_s, record.last_s)
    return apart_s / (record.new_tokens - 1) if record.new_tokens > 1 and apart_s > 0 else None


def slowest_ema(gaps: list[float], span: int = EMA_SPAN) -> float | None:
    """The largest value of the gaps' exponential moving average; None without gaps.

    eᵢ = Σ (1 − α)ʲ gᵢ₋ⱼ ∕ Σ (1 − α)ʲ over j = 0 … i, α = 2 ∕ (span + 1): that of FastGen's benchmark (pandas' `ewm`).
    """
    alpha, weighted, weights, slowest = 2 / (span + 1), 0.0, 0.0, None
    for gap in gaps:
        weighted, weights = gap + (1 - alpha) * weighted, 1 + (1 - alpha) * weights
        slowest = max(slowest or 0.0, weighted / weights)
    return slowest


def _between(earlier_s: float, later_s: float) -> float:
    """To the microsecond, as both are kept: what floating point leaves behind it would look like a dependence."""
    return round(later_s - earlier_s, 6)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
