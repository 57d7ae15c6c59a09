"""What the records of a level come to. Pure functions; failed requests are counted apart and never averaged in.

Of a request with n tokens: E2E = last token − due, TTFT = first token − due, ITL each gap between two tokens,
TPOT = (last − first) ∕ (n − 1). All in seconds.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from bench_deepspeed.measure.statistics import percentile

from .generator import Flight, Window
from .records import PERCENTILES, Level, Record

EMA_SPAN = 16
PROMPT_TOKENS_PER_S = 512
GENERATION_TOKENS_PER_S = (2, 4, 6)
"""FastGen's service level: its post's rates, and the span of its benchmark's moving average."""
LAG_S, LAG_SHARE = 0.010, 0.05
"""A generator that sends later than this (p99), or than this share of the median latency, is told of."""
CPU_SHARE = 0.8
"""One Python process computes on one CPU at a time; near the whole of it, it is what is measured."""


@dataclass(frozen=True)
class Figures:
    """One level in numbers, of the requests that were due in its window; None where nothing came to measure.

    `offered_per_s` counts those due, `requests_per_s` those that ended in the window, whenever they began, and
    `tokens_per_s` the tokens that came in it, each over the window's seconds. `good_per_s` counts those due in
    it that met the plain service level, `effective_per_s` FastGen's at each generation rate.
    """

    due: int
    failed: int
    offered_per_s: float
    requests_per_s: float
    tokens_per_s: float
    e2e_s: dict[str, float] | None
    ttft_s: dict[str, float] | None
    tpot_s: dict[str, float] | None
    itl_s: dict[str, float] | None
    good_per_s: float | None
    effective_per_s: dict[int, float]
    lag_p99_s: float | None
    remarks: list[str]


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


def record(flight: Flight) -> Record:
    """A request as it is kept: rounded to the microsecond, its gaps summed up."""
    times = flight.times
    slowest = slowest_ema([later - earlier for earlier, later in itertools.pairwise(times)])
    return Record(
        due_s=round(flight.asked.due_s, 6),
        sent_s=_rounded(flight.sent_s),
        first_s=_rounded(times[0] if times else None),
        last_s=_rounded(times[-1] if times else None),
        prompt_tokens=flight.asked.prompt_tokens,
        max_tokens=flight.asked.max_tokens,
        new_tokens=len(times),
        slowest_ema_s=_rounded(slowest),
        error=flight.error,
    )


def itl(flights: list[Flight], window: Window) -> dict[str, float]:
    """Percentiles of all token gaps of the requests that were due in the window and did not fail."""
    whole = [f.times for f in flights if window.holds(f.asked.due_s) and f.error is None]
    return percentiles([later - earlier for times in whole for earlier, later in itertools.pairwise(times)]) or {}


def tokens_in(flights: list[Flight], window: Window) -> int:
    """Tokens that came in the window, of requests that did not fail, whenever they began."""
    return sum(window.holds(moment) for flight in flights if flight.error is None for moment in flight.times)


def due_in_window(level: Level) -> list[Record]:
    start, end = level.window_s
    return [record for record in level.records if start <= record.due_s < end]


def ended_in_window(level: Level) -> list[Record]:
    start, end = level.window_s
    return [record for record in level.records if record.error is None and start <= record.last_s < end]


def e2e(record: Record) -> float:
    return record.last_s - record.due_s


def ttft(record: Record) -> float:
    return record.first_s - record.due_s


def tpot(record: Record) -> float | None:
    """None for a single token."""
    return (record.last_s - record.first_s) / (record.new_tokens - 1) if record.new_tokens > 1 else None


def meets(record: Record, sla: dict[str, float | None]) -> bool:
    """Whether a request met the plain service level: TTFT and TPOT at most as long as asked, where asked."""
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


def figures(level: Level, sla: dict[str, float | None]) -> Figures:
    """A level's figures; see `Figures`."""
    due = due_in_window(level)
    good = [record for record in due if record.error is None]
    seconds = level.window_s[1] - level.window_s[0]
    lags = [record.sent_s - record.due_s for record in due if record.sent_s is not None]
    asked = any(limit is not None for limit in sla.values())
    found = Figures(
        due=len(due),
        failed=len(due) - len(good),
        offered_per_s=len(due) / seconds,
        requests_per_s=len(ended_in_window(level)) / seconds,
        tokens_per_s=level.tokens_in_window / seconds,
        e2e_s=percentiles([e2e(record) for record in good]),
        ttft_s=percentiles([ttft(record) for record in good]),
        tpot_s=percentiles([t for t in map(tpot, good) if t is not None]),
        itl_s=level.itl_s or None,
        good_per_s=sum(meets(record, sla) for record in due) / seconds if asked else None,
        effective_per_s={r: sum(meets_fastgen(record, r) for record in due) / seconds for r in GENERATION_TOKENS_PER_S},
        lag_p99_s=percentile(lags, 99) if lags else None,
        remarks=[],
    )
    found.remarks.extend(_remarks(level, found))
    return found


def _remarks(level: Level, found: Figures) -> list[str]:
    """What makes a level's figures doubtful, in words."""
    said = []
    lag, latency = found.lag_p99_s, found.e2e_s
    if lag is not None and (lag > LAG_S or (latency and lag > LAG_SHARE * latency["p50"])):
        said.append(f"the load generator lagged: p99 {1e3 * lag:.1f} ms")
    if level.generator_cpu_share > CPU_SHARE:
        said.append(f"the load generator took {level.generator_cpu_share:.0%} of a CPU")
    if level.waited_for_kv:
        said.append(f"{level.waited_for_kv} of {len(level.records)} requests waited for room in the KV cache")
    if found.failed:
        errors = sorted({record.error for record in due_in_window(level) if record.error is not None})
        said.append(f"{found.failed} of {found.due} requests failed ({errors[0]})")
    return said


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
