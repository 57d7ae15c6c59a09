"""The metrics of one level of a load test."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from bench_deepspeed.core import units
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure.metric import Bounds, Metric, Value
from bench_deepspeed.measure.metrics import joules_per_token
from bench_deepspeed.measure.percentiles import Percentile

from . import efficiency, token_counts
from .attainment import Attainment, Share, share_within
from .attainment import judge as judge_slo
from .labels import percentile_cell
from .level_statistics import LevelStatistics, due_in_window, statistics_of
from .records import PERCENTILES, Level, LoadResult
from .saturation import Verdict, judge
from .service_level import GENERATION_TOKENS_PER_S

LATENCIES = {
    "ttft": "time to the first token, from when the request was due",
    "tpot": "time per output token after the first",
    "itl": "inter-token latency: the gap between two chunks over the tokens of the second",
    "chunk": "the gap between two chunks of tokens that came together",
    "e2e": "end to end: from when the request was due to its last token",
}
TITLES = {"chunk": "chunk gap"}
TABLE_LATENCIES, TABLE_PERCENTILES = ("ttft", "tpot", "e2e"), (50, 99)
"""What the table of levels shows; all the others are in flat files and on the page."""


@dataclass(frozen=True)
class LevelRow:
    """A level and the load test that it belongs to."""

    result: LoadResult
    level: Level

    @cached_property
    def statistics(self) -> LevelStatistics:
        return statistics_of(self.level, self.result.sla)

    @cached_property
    def verdict(self) -> Verdict | None:
        """Whether the rate was sustained; None for a level that has no rate."""
        return judge(self.level) if self.level.rate is not None else None

    @cached_property
    def share(self) -> Share | None:
        """Of the requests due, those within the service level; None where none was set, or nothing was measured."""
        has_sla = self.statistics.sla_share is not None
        return share_within(due_in_window(self.level), self.result.sla) if has_sla else None

    @cached_property
    def attainment(self) -> Attainment | None:
        """Whether the level attains the objective; None for a test without one."""
        return judge_slo(self.level, self.result.slo) if self.result.slo is not None else None

    @cached_property
    def tokens_interval(self) -> Bounds | None:
        """Of its tokens a second; None where that is not measured."""
        return efficiency.tokens_interval(self.level) if self.measured else None

    @property
    def median_tpot(self) -> Percentile | None:
        return self.statistics.latencies.get("tpot", {}).get(50)

    @property
    def measured(self) -> bool:
        return self.statistics.requests_per_s is not None


def rows(result: LoadResult) -> list[LevelRow]:
    """Every level, in the order they ran."""
    return [LevelRow(result, level) for level in result.levels]


def _statistic(name: str) -> Callable[[LevelRow], Value]:
    return lambda row: getattr(row.statistics, name)


def latency_title(name: str) -> str:
    """What a latency is called in tables."""
    return TITLES.get(name, name.upper())


def percentile_title(percent: int) -> str:
    """ "median", "p99"."""
    return "median" if percent == 50 else f"p{percent}"


def _percentile(name: str, percent: int) -> Metric[LevelRow]:
    def found(row: LevelRow) -> Percentile | None:
        return row.statistics.latencies.get(name, {}).get(percent)

    def value(row: LevelRow) -> float | None:
        return _finite(getattr(found(row), "value", None))

    def interval(row: LevelRow) -> Bounds | None:
        low, high = _finite(getattr(found(row), "low", None)), _finite(getattr(found(row), "high", None))
        return None if low is None or high is None else (low, high)

    in_table = name in TABLE_LATENCIES and percent in TABLE_PERCENTILES
    words = "median" if percent == 50 else f"{percent}th percentile"
    return Metric(
        f"{name}_p{percent}_s",
        f"{latency_title(name)} {percentile_title(percent)}, ms",
        "s",
        f"{LATENCIES[name]}; {words}",
        value,
        "lower",
        place="summary" if in_table else "detail",
        interval=interval,
        shown=lambda row: percentile_cell(found(row)),
        group=latency_title(name),
    )


def _finite(seconds: float | None) -> float | None:
    """None for what is infinite, which no JSON can say."""
    return None if seconds is None or math.isinf(seconds) else seconds


def _effective(rate: int) -> Metric[LevelRow]:
    def value(row: LevelRow) -> float | None:
        return row.statistics.effective_per_s.get(rate)

    meaning = f"FastGen's effective throughput of all requests of the level, at {rate} tokens/s"
    return Metric(f"effective_{rate}_per_s", f"effective, {rate} tokens/s", "requests/s", meaning, value, "higher")


def _server_cpu(combine: Callable[[list[float]], float]) -> Callable[[LevelRow], float | None]:
    return lambda row: combine(list(row.level.server_cpu_share.values())) if row.level.server_cpu_share else None


def _tokens_cell(row: LevelRow) -> str:
    """With the interval, where there is one."""
    cell, bounds = units.show(row.statistics.tokens_per_s, "tokens/s"), row.tokens_interval
    return f"{cell} [{', '.join(units.show(bound, 'tokens/s') for bound in bounds)}]" if bounds else cell


def _per_gpu_interval(row: LevelRow) -> Bounds | None:
    bounds = [efficiency.per_gpu(bound, row.result) for bound in row.tokens_interval or ()]
    return None if None in bounds or not bounds else (bounds[0], bounds[1])


def _cost_interval(row: LevelRow) -> Bounds | None:
    """That of tokens/s, the other way round; None where that contains no tokens at all."""
    low, high = (efficiency.cost(bound, row.result) for bound in reversed(row.tokens_interval or (None, None)))
    return None if low is None or high is None else (low, high)


def _verdict(row: LevelRow) -> str:
    if row.verdict is None:
        return ""
    return row.verdict.state if row.measured else NOT_MEASURED


def _piled_bounds(row: LevelRow) -> Bounds | None:
    verdict = row.verdict
    return None if verdict is None or verdict.low is None or verdict.high is None else (verdict.low, verdict.high)


def _saturated(row: LevelRow) -> bool | None:
    known = {"sustained": False, "not sustained": True}
    return known.get(row.verdict.state) if row.verdict else None


METRICS: tuple[Metric[LevelRow], ...] = (
    Metric("target", "target", "", "what requests were sent to", lambda r: r.result.target["name"], place="data"),
    Metric("level", "load", "", "clients, or request rate", lambda r: r.level.name, place="summary", in_files=False),
    Metric(
        "clients", "clients", "count", "clients at a time, where clients wait", lambda r: r.level.clients, place="data"
    ),
    Metric(
        "rate_per_s",
        "request rate",
        "requests/s",
        "requests sent a second, where clients do not wait",
        lambda r: r.level.rate,
        place="data",
    ),
    Metric("due", "due", "count", "requests due in the window", _statistic("due"), place="data"),
    Metric(
        "failed",
        "failed",
        "count",
        "of the requests due, those that failed",
        _statistic("failed"),
        "lower",
        place="summary",
        shown=lambda r: f"{r.statistics.failed} of {r.statistics.due}",
    ),
    Metric(
        "offered_per_s",
        "requests/s offered",
        "requests/s",
        "requests due in the window, a second",
        _statistic("offered_per_s"),
        place="summary",
    ),
    Metric(
        "requests_per_s",
        "requests/s achieved",
        "requests/s",
        "requests that ended in the window, a second",
        _statistic("requests_per_s"),
        "higher",
        place="summary",
    ),
    Metric(
        "tokens_per_s",
        "tokens/s",
        "tokens/s",
        "total over total: all tokens that came in the window ∕ its seconds",
        _statistic("tokens_per_s"),
        "higher",
        interval=lambda r: r.tokens_interval,
        interval_of="the ten parts of the window",
        place="summary",
        shown=_tokens_cell,
    ),
    Metric(
        "cost_per_million_tokens",
        "cost of 1M tokens",
        "price",
        "price of the GPUs for the time that a million output tokens take, in the currency of `--gpu_hour`",
        lambda r: efficiency.cost(r.statistics.tokens_per_s, r.result),
        "lower",
        interval=_cost_interval,
        interval_of="the ten parts of the window",
        place="summary",
    ),
    Metric(
        "tokens_per_s_per_gpu",
        "tokens/s per GPU",
        "tokens/s",
        "output tokens/s ∕ GPUs of the target; on a CPU of the machine",
        lambda r: efficiency.per_gpu(r.statistics.tokens_per_s, r.result),
        "higher",
        interval=_per_gpu_interval,
        interval_of="the ten parts of the window",
    ),
    Metric(
        "tokens_per_s_per_user",
        "tokens/s per user",
        "tokens/s",
        "1 ∕ median TPOT: how fast a user sees the tokens of an answer come",
        lambda r: efficiency.per_user(r.median_tpot),
        "higher",
        interval=lambda r: efficiency.per_user_interval(r.median_tpot),
        interval_of="the requests",
    ),
    *(_percentile(name, percent) for name in LATENCIES for percent in PERCENTILES),
    Metric("chunk_tokens", "tokens per chunk", "", "mean tokens that came together", _statistic("chunk_tokens")),
    Metric("answer_tokens", "tokens per answer", "", "mean tokens of an answer", _statistic("answer_tokens")),
    Metric(
        "tokens_counted_by",
        "tokens counted by",
        "",
        "what counted the tokens of a server's answers; none where each token has its time",
        lambda r: ", ".join(token_counts.counted_by(r.level.records)),
    ),
    Metric(
        "goodput_per_s",
        "goodput",
        "requests/s",
        "requests that ended in the window within the service level, where one was set, a second",
        _statistic("goodput_per_s"),
        "higher",
        place="summary",
    ),
    Metric(
        "sla_share",
        "within SLA",
        "share",
        "of the requests due, those within the service level",
        _statistic("sla_share"),
        "higher",
        place="summary",
        interval=lambda r: r.share and (r.share.low, r.share.high),
        shown=lambda r: r.share.text if r.share else NOT_MEASURED,
    ),
    Metric(
        "slo",
        "SLO",
        "",
        "whether the level attains the objective of `--slo`: `attained`, `not attained` or `inconclusive`",
        lambda r: r.attainment and r.attainment.state,
        place="summary",
    ),
    *map(_effective, GENERATION_TOKENS_PER_S),
    Metric(
        "lag_p99_s",
        "lag p99",
        "s",
        "how late the generator sent: 99% of the requests due so late, or less",
        _statistic("lag_p99_s"),
        "lower",
    ),
    Metric(
        "generator_cpu_share",
        "generator's CPU",
        "share",
        "of one CPU, taken by the load generator",
        lambda r: r.level.generator_cpu_share,
    ),
    Metric(
        "energy_j_per_token",
        "energy",
        "J/token",
        "energy of the target's GPUs over the whole level ∕ all tokens that came in it",
        lambda r: joules_per_token(r.level.energy) if r.level.energy else None,
        "lower",
    ),
    Metric(
        "server_cpu_share",
        "servers' CPU",
        "share",
        "of one CPU, taken by the target's processes together",
        _server_cpu(sum),
        remark=lambda r: ", ".join(f"{n} {s:.0%}" for n, s in r.level.server_cpu_share.items()),
    ),
    Metric(
        "server_cpu_share_max",
        "busiest server's CPU",
        "share",
        "of one CPU, taken by the busiest of them",
        _server_cpu(max),
        place="data",
    ),
    Metric(
        "waited_for_kv",
        "waited for KV cache",
        "count",
        "requests that found no room in the KV cache when they were sent",
        lambda r: r.level.waited_for_kv,
    ),
    Metric(
        "piled_up_share",
        "piled up",
        "share",
        "of the requests due in the window, by how many those in flight grew",
        lambda r: r.verdict and r.verdict.piled,
        interval=_piled_bounds,
    ),
    Metric(
        "saturated",
        "saturated",
        "",
        "whether requests piled up; none where that is inconclusive",
        _saturated,
        place="data",
    ),
    Metric(
        "verdict",
        "verdict",
        "",
        "whether the rate was sustained: `sustained`, `not sustained` or `inconclusive`",
        _verdict,
        place="summary",
        in_files=False,
        shown=_verdict,
    ),
    Metric(
        "remarks",
        "remarks",
        "",
        "what makes the values doubtful",
        lambda r: "; ".join(r.statistics.remarks),
    ),
)
