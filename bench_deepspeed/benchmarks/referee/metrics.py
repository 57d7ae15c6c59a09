"""The metrics of a tool in a scenario."""

from __future__ import annotations

from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.core.units import change, milliseconds
from bench_deepspeed.measure.metric import Bounds, Metric
from bench_deepspeed.measure.statistics import Interval

from .scores import PLACES, At, Score

LEAST = 0.0005
"""A share that is shown as less than a tenth of a percent."""


def share(interval: Interval | None) -> str:
    """An error as "+0.3% ± 0.1": the mean over the runs, and half the width of its interval, in percent."""
    if interval is None:
        return NOT_MEASURED
    mean = change(interval.mean)
    half = interval.half_width
    return mean if half is None else f"{mean} ± {100 * half:.1f}"


def _bounds(interval: Interval | None) -> Bounds | None:
    if interval is None or interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high


def _error(at: At) -> Metric[Score]:
    column = f"{at.metric.lower()}_{at.percentile}_error"
    meaning = f"{at.metric} {at.percentile} as reported over the truth by the tool's own definition, less 1"
    return Metric(
        column,
        f"{at.metric} {at.percentile}",
        "",
        meaning,
        lambda score: getattr(score.errors[at], "mean", None),
        place="summary",
        interval=lambda score: _bounds(score.errors[at]),
        interval_of="the runs",
        shown=lambda score: share(score.errors[at]),
    )


def _apart(at: At) -> Metric[Score]:
    return Metric(
        f"{at.metric.lower()}_{at.percentile}_definition",
        "",
        "",
        f"{at.metric} {at.percentile} in truth by the tool's definition over that by this suite's, less 1",
        lambda score: getattr(score.apart[at], "mean", None),
        place="data",
    )


def _cpu(score: Score) -> str:
    return milliseconds(getattr(score.cpu_s, "mean", None))


METRICS: tuple[Metric[Score], ...] = (
    Metric("scenario", "scenario", "", "the scenario", lambda score: score.scenario, place="summary"),
    Metric("tool", "tool", "", "the tool", lambda score: score.title, place="summary"),
    *map(_error, PLACES),
    Metric(
        "tokens_per_s_error",
        "tokens/s",
        "",
        "tokens/s as reported over the truth, less 1",
        lambda score: getattr(score.tokens, "mean", None),
        place="summary",
        interval=lambda score: _bounds(score.tokens),
        interval_of="the runs",
        shown=lambda score: share(score.tokens),
    ),
    Metric(
        "failed_error",
        "failed",
        "",
        "failed requests that it reports less those that failed, of all runs",
        lambda score: score.failed,
        place="summary",
        shown=lambda score: NOT_MEASURED if score.failed is None else f"{score.failed:+d}",
    ),
    Metric(
        "cpu_request_s",
        "CPU a request",
        "s",
        "CPU time of the tool for a request, from its first one to its last",
        lambda score: getattr(score.cpu_s, "mean", None),
        place="summary",
        interval=lambda score: _bounds(score.cpu_s),
        interval_of="the runs",
        shown=_cpu,
    ),
    Metric(
        "lag_p99_s",
        "sent late p99",
        "s",
        "how late it sends requests that come at a rate, 99th percentile",
        lambda score: getattr(score.lag_s, "mean", None),
        place="summary",
    ),
    Metric("runs", "runs", "count", "its runs in this scenario", lambda score: score.runs, place="data"),
    Metric("reason", "", "", "why nothing was measured", lambda score: score.reason, place="data"),
    *map(_apart, PLACES),
)
