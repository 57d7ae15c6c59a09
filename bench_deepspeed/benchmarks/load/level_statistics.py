"""What the records of a level come to. Pure functions; failed requests are counted apart and never averaged in.

Of a request with n tokens: E2E = last token − due, TTFT = first token − due, ITL each gap between two tokens,
TPOT = (last − first) ∕ (n − 1). All in seconds.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from bench_deepspeed.measure.statistics import percentile

from .generator import InFlightRequest, Window
from .records import PERCENTILES, Level, Record

EMA_SPAN = 16
PROMPT_TOKENS_PER_S = 512
GENERATION_TOKENS_PER_S = (2, 4, 6)
"""FastGen's service level: its post's rates, and the span of its benchmark's moving average."""
LAG_S, LAG_SHARE = 0.010, 0.05
"""A generator that sends later than this (p99), or than this share of the median latency, is reported."""
CPU_SHARE = 0.8
"""One Python process computes on one CPU at a time; near the whole of it, it is what is measured."""
ARRIVALS = 5
"""A Poisson process has an arrival within so many of its mean gaps with a probability of 99.3%."""


@dataclass(frozen=True)
class LevelStatistics:
    """One level in numbers, of the requests that were due in its window; None where nothing came to measure.

    A level that is not measured has only counts and lag, and its first remark gives the reason: see `unmeasured`.

    `offered_per_s` counts those due, `requests_per_s` those that ended in the window, whenever they began, and
    `tokens_per_s` the tokens that came in it, each over the window's seconds. `good_per_s` counts those due in
    it that met the plain service level, `effective_per_s` FastGen's at each generation rate.
    """

    due: int
    failed: int
    lag_p99_s: float | None
    remarks: list[str]
    offered_per_s: float | None = None
    requests_per_s: float | None = None
    tokens_per_s: float | None = None
    e2e_s: dict[str, float] | None = None
    ttft_s: dict[str, float] | None = None
    tpot_s: dict[str, float] | None = None
    itl_s: dict[str, float] | None = None
    good_per_s: float | None = None
    effective_per_s: dict[int, float] | None = None


def slowest_ema(gaps: list[float], span: int = EMA_SPAN) -> float | None:
    """The largest value of the gaps' exponential moving average; None without gaps.

    eᵢ = Σ (1 − α)ʲ gᵢ₋ⱼ ∕ Σ (1 − α)ʲ over j = 0 … i, α = 2 ∕ (span + 1): that of FastGen's benchmark (pandas' `ewm`).
    """
    alpha, weighted, weights, slowest = 2 / (span + 1), 0.0, 0.0, None
    for gap in gaps:
        weighted, weights = gap + (1 - alpha) * weighted, 1 + (1 - alpha) * weights
        slowest = max(slowest or 0.0, weighted / weights)
    return slowest


def percentiles(values: list[float]) -> dict[str, float] | None:
    """NumPy's default percentiles; None without values."""
    return {f"p{p}": percentile(values, p) for p in PERCENTILES} if values else None


def record(flight: InFlightRequest) -> Record:
    """A request as it is kept: rounded to the microsecond, its gaps summed up."""
    times = flight.times
    slowest = slowest_ema([later - earlier for earlier, later in itertools.pairwise(times)])
    return Record(
        due_s=round(flight.request.due_s, 6),
        sent_s=_rounded(flight.sent_s),
        first_s=_rounded(times[0] if times else None),
        last_s=_rounded(times[-1] if times else None),
        prompt_tokens=flight.request.prompt_tokens,
        max_tokens=flight.request.max_tokens,
        new_tokens=len(times),
        slowest_ema_s=_rounded(slowest),
        error=flight.error,
    )


def itl(flights: list[InFlightRequest], window: Window) -> dict[str, float]:
    """Percentiles of all token gaps of the requests that were due in the window and did not fail."""
    whole = [f.times for f in flights if window.holds(f.request.due_s) and f.error is None]
    return percentiles([later - earlier for times in whole for earlier, later in itertools.pairwise(times)]) or {}


def tokens_in(flights: list[InFlightRequest], window: Window) -> int:
    """Tokens that came in the window, of requests that did not fail, whenever they began."""
    return sum(window.holds(moment) for flight in flights if flight.error is None for moment in flight.times)


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
        return f"{len(sent)} of {len(sent)} requests failed ({sent[0].error})"
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


def e2e(record: Record) -> float:
    """Seconds from when a request was due to its last token."""
    return record.last_s - record.due_s


def ttft(record: Record) -> float:
    """Seconds from when a request was due to its first token."""
    return record.first_s - record.due_s


def tpot(record: Record) -> float | None:
    """Seconds per output token after the first; None for a single token."""
    return (record.last_s - record.first_s) / (record.new_tokens - 1) if record.new_tokens > 1 else None


def meets(record: Record, sla: dict[str, float | None]) -> bool:
    """Whether a request met the plain service level: TTFT and TPOT within its limits, where these are set."""
    if record.error is not None:
        return False
    first, each = sla["ttft_s"], sla["tpot_s"]
    return (first is None or ttft(record) <= first) and (each is None or (tpot(record) or 0.0) <= each)


def meets_fastgen(record: Record, tokens_per_s: float) -> bool:
    """Whether a request met FastGen's service level at a generation rate.

    The first token after at most prompt tokens ∕ 512 seconds, and the moving average of the gaps always
    below 1 ∕ rate (DeepSpeed-FastGen post, "Effective Throughput"; the benchmark in DeepSpeedExamples).
    """
    if record.error is not None or ttft(record) > record.prompt_tokens / PROMPT_TOKENS_PER_S:
        return False
    return record.slowest_ema_s is None or record.slowest_ema_s < 1 / tokens_per_s


def statistics_of(level: Level, sla: dict[str, float | None]) -> LevelStatistics:
    """A level's statistics; see `LevelStatistics`."""
    due = due_in_window(level)
    lags = [record.sent_s - record.due_s for record in due if record.sent_s is not None]
    reason = unmeasured(level)
    statistics = LevelStatistics(
        due=len(due),
        failed=sum(record.error is not None for record in due),
        lag_p99_s=percentile(lags, 99) if lags else None,
        remarks=[] if reason is None else [f"not measured: {reason}"],
        **(_measured(level, due, sla) if reason is None else {}),
    )
    statistics.remarks.extend(_remarks(level, statistics))
    return statistics


def _measured(level: Level, due: list[Record], sla: dict[str, float | None]) -> dict:
    """The statistics that a level has only where it is measured."""
    seconds = window_s(level)
    good = [record for record in due if record.error is None]
    has_sla = any(limit is not None for limit in sla.values())
    return {
        "offered_per_s": len(due) / seconds,
        "requests_per_s": len(ended_in_window(level)) / seconds,
        "tokens_per_s": level.tokens_in_window / seconds,
        "e2e_s": percentiles([e2e(record) for record in good]),
        "ttft_s": percentiles([ttft(record) for record in good]),
        "tpot_s": percentiles([t for t in map(tpot, good) if t is not None]),
        "itl_s": level.itl_s or None,
        "good_per_s": sum(meets(record, sla) for record in due) / seconds if has_sla else None,
        "effective_per_s": {
            rate: sum(meets_fastgen(record, rate) for record in due) / seconds for rate in GENERATION_TOKENS_PER_S
        },
    }


def _remarks(level: Level, statistics: LevelStatistics) -> list[str]:
    """What makes a level's statistics doubtful, in words."""
    remarks = []
    lag, latency = statistics.lag_p99_s, statistics.e2e_s
    if lag is not None and (lag > LAG_S or (latency and lag > LAG_SHARE * latency["p50"])):
        remarks.append(f"the load generator lagged: p99 {1e3 * lag:.1f} ms")
    if level.generator_cpu_share > CPU_SHARE:
        remarks.append(f"the load generator took {level.generator_cpu_share:.0%} of a CPU")
    if level.waited_for_kv:
        remarks.append(f"{level.waited_for_kv} of {len(level.records)} requests waited for room in the KV cache")
    if 0 < statistics.failed < statistics.due:  # where all failed, the level is reported as not measured
        errors = sorted({record.error for record in due_in_window(level) if record.error is not None})
        remarks.append(f"{statistics.failed} of {statistics.due} requests failed ({errors[0]})")
    return remarks


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
