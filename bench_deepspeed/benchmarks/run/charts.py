"""The charts of results: tokens/s, TTFT and TPOT with every sample, and where a step's time goes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from bench_deepspeed.benchmarks.common.kind import Item
from bench_deepspeed.core import units
from bench_deepspeed.measure import warnings
from bench_deepspeed.measure.metric import Bounds
from bench_deepspeed.measure.records import Profile, Result
from bench_deepspeed.measure.speed import process_speeds, speed_interval
from bench_deepspeed.report.blocks import Facets
from bench_deepspeed.report.chart import Axis, BarRow, Bars, Dot, Strip, StripRow

from . import metrics, series, step

RunItem = Item[Result]


def facets_of(item: RunItem) -> Facets:
    """What the page's filter knows a result by."""
    scenario = item.content.scenario
    return Facets(metrics.model_title(item.content), scenario.engine, item.machine, scenario.precision)


def speeds(title: str, items: Sequence[RunItem]) -> Strip | None:
    """Tokens/s of the results of one model: a row each, every repetition a dot; None where none has a sample."""
    rows = tuple(_speed(item) for item in items if item.content.valid_samples)
    if not rows:
        return None
    return Strip(f"Tokens/s of {title}", Axis("", "tokens/s", from_zero=True), rows, _description(rows))


def _speed(item: RunItem) -> StripRow:
    result, scenario = item.content, item.content.scenario
    interval, bounds = speed_interval(result), metrics.speed_bounds(result)
    low, high = bounds or (None, None)
    samples = tuple(
        Dot(speed, process, f"process {process + 1}, sample {index} of {len(speeds_of_process)}")
        for process, speeds_of_process in enumerate(process_speeds(result))
        for index, speed in enumerate(speeds_of_process, 1)
    )
    cell = metrics.SPEED.cell(result)
    return StripRow(
        label=f"{metrics.engine_title(item.content)}, {scenario.precision}",
        keys=(facets_of(item),),
        note=f"{_note(item)}, n {metrics.counts(result)}",
        value=f"{cell.split(' ')[0]} tokens/s",
        aside=cell.partition(" ")[2],
        warnings=", ".join(finding.code for finding in warnings.check(result)),
        samples=samples,
        mean=interval.mean if interval else 0.0,
        low=low,
        high=high,
        colour=scenario.engine,
    )


def _note(item: RunItem) -> str:
    cells = {metric.name: metric.cell(item.content) for metric in metrics.METRICS if metric.name == "lengths"}
    return f"{metrics.device_name(item.content)} · {cells['lengths']} tokens"


def latency(metric_name: str, title: str, items: Sequence[RunItem]) -> Strip | None:
    """TTFT ("ttft_s") or TPOT ("tpot_s") of the results of one model that have it, every generation a dot."""
    metric = next(metric for metric in metrics.METRICS if metric.name == metric_name)
    seconds_of = LATENCY_SERIES[metric_name]
    bounds_of = series.bounds_of(seconds_of)
    rows = tuple(
        _latency(item, seconds_of(item.content), bounds_of(item.content)) for item in items if seconds_of(item.content)
    )
    axis = Axis(metric.title, "ms", from_zero=True)
    return Strip(f"{metric.title} of {title}", axis, rows, _description(rows)) if rows else None


def _latency(item: RunItem, seconds: list[float], bounds: Bounds | None) -> StripRow:
    result, scenario = item.content, item.content.scenario
    mean = statistics.fmean(seconds)
    low, high = bounds or (None, None)
    generations = enumerate(seconds, 1)
    return StripRow(
        label=f"{metrics.engine_title(item.content)}, {scenario.precision}",
        keys=(facets_of(item),),
        note=_note(item),
        value=units.milliseconds(mean),
        aside=result.latency.method if result.latency else "",
        samples=tuple(Dot(1e3 * s, 0, f"generation {n} of {len(seconds)}") for n, s in generations),
        mean=1e3 * mean,
        low=None if low is None else 1e3 * low,
        high=None if high is None else 1e3 * high,
        colour=scenario.engine,
    )


LATENCY_SERIES: dict[str, Callable[[Result], list[float]]] = {
    "ttft_s": series.ttft_series,
    "tpot_s": series.tpot_series,
}
"""Metric → the seconds of each generation."""


def steps(phase: str, title: str, items: Sequence[RunItem]) -> Bars | None:
    """Where a step's time goes, in one phase, of each result of one model that was profiled."""
    pairs = [(item, profile) for item in items for profile in item.content.profiles if profile.phase == phase]
    rows = tuple(_step(_label(item), (facets_of(item),), profile) for item, profile in pairs if profile.busy_s)
    return _bars(f"Parts of a {phase} step of {title}", rows) if rows else None


def profile_bars(title: str, profiles: Sequence[Profile]) -> Bars:
    """The phases of one result, next to each other."""
    return _bars(title, tuple(_step(profile.phase, (), profile) for profile in profiles))


def _bars(title: str, rows: tuple[BarRow, ...]) -> Bars:
    description = f"{title}. " + "; ".join(f"{row.label}: {row.note}" for row in rows)
    return Bars(title, rows, description, idle=(step.GPU_IDLE, step.HOST))


def _step(label: str, keys: tuple[Facets, ...], profile: Profile) -> BarRow:
    aside = "a step" if profile.phase == "decode" else f"for {profile.prompt_tokens} tokens"
    value, parts = units.milliseconds(profile.step_s), tuple(step.parts(profile).items())
    return BarRow(label=label, keys=keys, note=step.bottleneck(profile), value=value, aside=aside, parts=parts)


def _label(item: RunItem) -> str:
    scenario = item.content.scenario
    return f"{metrics.engine_title(item.content)}, {scenario.precision}"


def _description(rows: Sequence[StripRow]) -> str:
    return "; ".join(f"{row.label}: {row.value} {row.aside}" for row in rows)
