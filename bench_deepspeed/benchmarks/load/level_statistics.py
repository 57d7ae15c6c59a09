"""What the records of a level come to. Pure functions; all times in seconds."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from statistics import median

from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure import statistics
from bench_deepspeed.measure.percentiles import Percentile, needed, of_worth, percentiles

from . import token_counts
from .arrivals import ARRIVALS
from .generator import InFlightRequest, Window
from .latency import chunks_of, e2e, itl, tpot, ttft
from .records import PERCENTILES, Level, Record, Sla
from .service_level import GENERATION_TOKENS_PER_S, effective_throughput, goodput, meets

LAG_S, LAG_SHARE = 0.010, 0.05
"""A generator that sends later than this (p99), or than this share of the median latency, is reported."""
CPU_SHARE = 0.8
"""One Python process computes on one CPU at a time; near the whole of it, it is what is measured."""
CHUNKED = 1.5
"""With more tokens a chunk than this, ITL says little of when text appears, and the level is marked."""

Percentiles = dict[float, Percentile]


@dataclass(frozen=True)
class LevelStatistics:
    """One level in numbers, of the requests that were due in its window; None where nothing came to measure.

    A level that is not measured has only counts and lag, and its first remark gives the reason: see `unmeasured`.

    `offered_per_s` counts those due, `requests_per_s` those that ended in the window, whenever they began, and
    `tokens_per_s` the tokens that came in it, all tokens over all of its seconds. `latencies` has the percentiles of
    "ttft", "tpot", "itl", "e2e" and "chunk", the gap between two chunks; failed requests are infinite in them.
    `chunk_tokens` and `answer_tokens` are mean tokens of a chunk and of an answer. Where a chunk is not a token there
    is no "itl", and no `effective_per_s`, which is made of it.
    `goodput_per_s` and `effective_per_s` (by generation rate) are defined in `service_level`; `sla_share` is the share
    of the requests due that met the service level.
    """

    due: int
    failed: int
    lag_p99_s: float | None
    remarks: list[str]
    offered_per_s: float | None = None
    requests_per_s: float | None = None
    tokens_per_s: float | None = None
    latencies: dict[str, Percentiles] = field(default_factory=dict)
    chunk_tokens: float | None = None
    answer_tokens: float | None = None
    goodput_per_s: float | None = None
    sla_share: float | None = None
    effective_per_s: dict[int, float | None] = field(default_factory=dict)


def tokens_in(flights: list[InFlightRequest], window: Window) -> int:
    """Tokens that came in the window, of requests that did not fail, whenever they began.

    Where the times are of chunks with any number of tokens, a request's tokens are spread evenly over its chunks.
    """
    ended = [flight for flight in flights if flight.error is None and flight.times]
    held = ((sum(map(window.holds, flight.times)), flight) for flight in ended)
    return round(sum(inside * flight.new_tokens / len(flight.times) for inside, flight in held))


def due_in_window(level: Level) -> list[Record]:
    """The requests due in the window, failed ones included."""
    start, end = level.window_s
    return [record for record in level.records if start <= record.due_s < end]


def ended_in_window(level: Level) -> list[Record]:
    """The requests that ended in the window without a failure, whenever they were due."""
    start, end = level.window_s
    return [record for record in level.records if record.error is None and start <= record.last_s < end]


def unmeasured(level: Level) -> str | None:
    """Why a level has no statistics, and what would give it some, in words; None for a level that is measured.

    It takes a window that is at least as long as its shortest request, in which a request was due that did not fail,
    and a request ended.
    """
    seconds = window_s(level)
    due = due_in_window(level)
    latencies = _latencies(level)
    sent = due or level.records
    if sent and all(record.error is not None for record in sent):
        return f"{len(sent)} of {len(sent)} requests failed ({token_counts.failures(sent)})"
    if latencies and seconds < min(latencies):
        reason = (
            f"the window of {seconds:.3g} s is shorter than the shortest request, which took {min(latencies):.3g} s"
        )
    elif not due:
        reason = f"no request was due in the window of {seconds:.3g} s"
    elif not ended_in_window(level):
        reason = f"no request ended in the window of {seconds:.3g} s"
    else:
        return None
    return f"{reason}; {_remedy(level)}"


def _remedy(level: Level) -> str:
    if level.clients is None and level.rate is None:
        apart = _rounded_up(max(_latencies(level), default=0.0))
        return f"use a trace with a request after its first sixth and {apart:g} s or more before its last request"
    return f"use --seconds {needed_s(level):g}"


def needed_s(level: Level) -> float:
    """Seconds of a window in which a request comes, and another one ends, at the latencies and the rate of a level."""
    gap_s = ARRIVALS / level.rate if level.rate is not None else 0.0
    return _rounded_up(2 * max(_latencies(level), default=0.0) + gap_s)


def window_s(level: Level) -> float:
    """Seconds of the window."""
    start, end = level.window_s
    return end - start


def _latencies(level: Level) -> list[float]:
    return [e2e(record) for record in level.records if record.error is None]


def _rounded_up(seconds: float) -> float:
    """To two significant digits."""
    if not seconds:
        return 0.0
    digits = 1 - math.floor(math.log10(seconds))
    return round(math.ceil(seconds * 10.0**digits) / 10.0**digits, max(digits, 0))


def statistics_of(level: Level, sla: Sla) -> LevelStatistics:
    """A level's statistics; see `LevelStatistics`."""
    due = due_in_window(level)
    lags = [record.sent_s - record.due_s for record in due if record.sent_s is not None]
    reason = unmeasured(level)
    found = LevelStatistics(
        due=len(due),
        failed=sum(record.error is not None for record in due),
        lag_p99_s=statistics.percentile(lags, 99) if lags else None,
        remarks=[] if reason is None else [f"not measured: {reason}"],
        **(_measured(level, due, sla) if reason is None else {}),
    )
    found.remarks.extend(_remarks(level, found))
    return found


def _measured(level: Level, due: list[Record], sla: Sla) -> dict:
    """The statistics that a level has only where it is measured."""
    seconds, ended = window_s(level), ended_in_window(level)
    has_sla = any(limit is not None for limit in sla.values())
    ended_due = [record for record in due if record.error is None]
    chunks = [chunks_of(record) or [] for record in ended_due]
    chunked = level.token_chunks is False
    return {
        "offered_per_s": len(due) / seconds,
        "requests_per_s": len(ended) / seconds,
        "tokens_per_s": level.tokens_in_window / seconds,
        "latencies": {
            "ttft": percentiles(list(map(ttft, due)), PERCENTILES),
            "tpot": percentiles([t for t in map(tpot, due) if t is not None], PERCENTILES),
            "itl": {} if chunked else _itl(level, due),
            "chunk": _pooled([[gap for gap, _ in of_one[1:]] for of_one in chunks]),
            "e2e": percentiles(list(map(e2e, due)), PERCENTILES),
        },
        "chunk_tokens": _ratio(sum(r.new_tokens for r in ended_due if r.chunks), sum(map(len, chunks))),
        "answer_tokens": _ratio(sum(record.new_tokens for record in ended_due), len(ended_due)),
        "goodput_per_s": goodput(ended, sla, seconds) if has_sla else None,
        "sla_share": sum(meets(record, sla) for record in due) / len(due) if has_sla else None,
        "effective_per_s": {}
        if chunked
        else {rate: effective_throughput(level.records, rate) for rate in GENERATION_TOKENS_PER_S},
    }


def _ratio(sum_of: int, number: int) -> float | None:
    return sum_of / number if number else None


def _itl(level: Level, due: list[Record]) -> Percentiles:
    """ITL of all tokens; in files from before gaps were kept their percentiles, without intervals."""
    of_requests = [itl(record) for record in due]
    if any(gaps is None for gaps in of_requests):
        n = sum(max(record.new_tokens - 1, 0) for record in due)
        old = {p: level.itl_s.get(f"p{p}") for p in PERCENTILES}
        return {p: Percentile(n, n, needed(p), value) for p, value in old.items() if value is not None}
    return _pooled([gaps for gaps in of_requests if gaps is not None])


def _pooled(of_requests: list[list[float]]) -> Percentiles:
    """Percentiles of the gaps of all requests together, with intervals from the requests.

    Gaps of one request are alike. So the share of gaps below the percentile (one at it is half below) is taken as a
    ratio of sums over requests, p̂ = Σ cₖ ∕ N with N = Σ nₖ; its variance is K ∕ (K − 1) · Σ (cₖ − p̂ nₖ)² ∕ N², and
    the gaps are worth as many independent ones as would have that variance: p (1 − p) ∕ variance (R. Woodruff,
    "Confidence Intervals for Medians and Other Position Measures", JASA 47, 1952; E. Korn and B. Graubard, Survey
    Methodology 24, 1998). Requests that are served in the same steps are alike too: a second variance is of groups of
    ten in a row; the larger counts.
    """
    kept = [gaps for gaps in of_requests if gaps]
    ordered = sorted(itertools.chain.from_iterable(kept))
    tens = [list(itertools.chain.from_iterable(kept[n : n + 10])) for n in range(0, len(kept), 10)]
    found = {}
    for percent in PERCENTILES if ordered else ():
        point = float(ordered[min(math.floor(percent / 100 * len(ordered)), len(ordered) - 1)])
        worth = min(_worth(groups, point, percent / 100, len(ordered)) for groups in (kept, tens))
        found[percent] = of_worth(ordered, percent, worth)
    return found


def _worth(groups: list[list[float]], point: float, share: float, n: int) -> int:
    """How many independent values n values in groups are worth for the percentile at `point`; see `_pooled`."""
    if len(groups) < 2:
        return 0
    counts = [sum((value < point) + (value <= point) for value in group) / 2 for group in groups]
    found = sum(counts) / n
    squares = sum((count - found * len(group)) ** 2 for count, group in zip(counts, groups, strict=True))
    variance = len(groups) / (len(groups) - 1) * squares / n**2
    return n if variance == 0 else math.floor(min(n, share * (1 - share) / variance))


def _remarks(level: Level, found: LevelStatistics) -> list[str]:
    """What makes a level's statistics doubtful, in words."""
    remarks, due = [], due_in_window(level)
    lag, latency = found.lag_p99_s, median(map(e2e, due)) if found.latencies else math.inf
    if lag is not None and lag > min(LAG_S, LAG_SHARE * latency):
        remarks.append(f"the load generator lagged: p99 {1e3 * lag:.1f} ms")
    if level.generator_cpu_share > CPU_SHARE:
        remarks.append(f"the load generator took {level.generator_cpu_share:.0%} of a CPU")
    if level.waited_for_kv:
        remarks.append(f"{level.waited_for_kv} of {len(level.records)} requests waited for room in the KV cache")
    if level.settled is False and level.records:
        remarks.append(f"latency had not settled after {level.window_s[0]:.3g} s of warm-up")
    if level.token_chunks is False and found.chunk_tokens is not None:
        remarks.append(f"not each chunk was one token ({found.chunk_tokens:.3g} on average): ITL is {NOT_MEASURED}")
    elif found.chunk_tokens is not None and found.chunk_tokens > CHUNKED:
        remarks.append(f"tokens came in chunks of {found.chunk_tokens:.2g}: ITL is a chunk's gap over its tokens")
    if 0 < found.failed < found.due:  # where all failed, the level is reported as not measured
        remarks.append(
            f"{found.failed} of {found.due} requests failed ({token_counts.failures(due)}): infinite in percentiles"
        )
    return remarks + token_counts.remarks(due)
