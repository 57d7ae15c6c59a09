"""The charts of load tests: latency over throughput, as in FastGen's post, and what a GPU and a user get."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from bench_deepspeed.measure.percentiles import Percentile
from bench_deepspeed.report.chart import Axis, Lines, Point, Series

from .efficiency import per_gpu, per_user
from .labels import facets_of, percentile_text, settings
from .metrics import LevelRow, percentile_title, rows
from .records import LoadResult


def latency(model: str, results: Sequence[LoadResult]) -> Lines | None:
    """Median latency over requests/s of one model, one curve a load test: solid by clients, dashed by request rate.

    None where no level has a latency. A level that has remarks in the table is flagged.
    """
    names, shared = _names(results)
    curves = (_curve(*named, kind) for named in zip(names, results, strict=True) for kind in KINDS)
    series = _numbered([curve for curve in curves if curve])
    if not series:
        return None
    x, y = Axis("requests/s achieved", from_zero=True), Axis("E2E latency, median", "ms", from_zero=True)
    description = f"Median latency over throughput of {model}; the tables have its values"
    subtitle = ", ".join([*shared, "each level with its clients or its requests/s"])
    return Lines(f"Latency over throughput of {model}", x, y, tuple(series), description, subtitle)


KINDS = {"clients": "by clients", "rate": "by request rate"}
"""Field of a level → what a curve through such levels is called."""


def _names(results: Sequence[LoadResult]) -> tuple[list[str], list[str]]:
    """What distinguishes each test from the others, the lengths at least, and what all have in common."""
    every = [settings(result) for result in results]
    columns = list(zip(*every, strict=True))
    shared = [column[0] for column in columns[:-1] if len(set(column)) == 1]
    return [", ".join(value for value in one if value not in shared) for one in every], shared


def _numbered(series: Sequence[Series]) -> list[Series]:
    """Curves of the same name, which are of several tests, with a number each and a colour of their own."""
    names = [one.name for one in series]
    return [
        dataclasses.replace(one, name=name, colour=name)
        if names.count(one.name) > 1 and (name := f"{one.name}, test {1 + names[:number].count(one.name)}")
        else one
        for number, one in enumerate(series)
    ]


def _curve(name: str, result: LoadResult, kind: str) -> Series | None:
    levels = [row for row in rows(result) if getattr(row.level, kind) is not None and _median(row) is not None]
    levels.sort(key=lambda row: getattr(row.level, kind))  # a search goes up and down
    if not levels:
        return None
    stroke = "solid" if kind == "clients" else "dashed"
    points = tuple(map(_point, levels))
    return Series(f"{name}, {KINDS[kind]}", points, (facets_of(result),), stroke, colour=name)


def _median(row: LevelRow) -> Percentile | None:
    """Median E2E, where it is measured and finite."""
    found = row.statistics.latencies.get("e2e", {}).get(50)
    return None if found is None or found.value is None or math.isinf(found.value) else found


def _point(row: LevelRow) -> Point:
    load, shown = row.level.clients or row.level.rate, row.statistics.latencies["e2e"].items()
    median = _median(row)
    assert median is not None and median.value is not None  # only levels that have one are drawn
    percentiles = "; ".join(f"{percentile_title(p)}, ms: {percentile_text(found)}" for p, found in shown)
    return Point(
        row.statistics.requests_per_s or 0.0,
        1e3 * median.value,
        _bar(median),
        label=f"{load:g}",
        hover="; ".join([f"{row.level.name}: E2E {percentiles}", *row.statistics.remarks]),
        flagged=bool(row.statistics.remarks),
    )


def _bar(median: Percentile) -> tuple[float, float] | None:
    """Its interval in ms; none where an end is infinite, which the table shows."""
    if median.low is None or median.high is None or math.isinf(median.high):
        return None
    return 1e3 * median.low, 1e3 * median.high


def pareto(model: str, results: Sequence[LoadResult]) -> Lines | None:
    """Tokens/s of a GPU over tokens/s of a user, a point a level: as measured, so that no line joins them.

    An open one is beaten: another measured level, of whatever test with requests of these lengths, has as many of both
    and more of one. None where fewer than two levels have both: there is no trade to show.
    """
    names, shared = _names(results)
    tests = [(name, result, _efficient(result)) for name, result in zip(names, results, strict=True)]
    rivals: dict[str, list[tuple[float, float]]] = {}
    for _, result, levels in tests:
        rivals.setdefault(settings(result)[-1], []).extend(place for _, place in levels)
    series = [
        Series(
            name,
            tuple(_pareto_point(row, place, rivals[settings(result)[-1]]) for row, place in levels),
            (facets_of(result),),
            "none",
            colour=name,
        )
        for name, result, levels in tests
        if levels
    ]
    if sum(len(one.points) for one in series) < 2:
        return None
    x, y = Axis("tokens/s of a user (1 ∕ median TPOT)", from_zero=True), Axis("tokens/s per GPU", from_zero=True)
    return Lines(
        f"What a GPU and a user get of {model}",
        x,
        y,
        tuple(_numbered(series)),
        f"Tokens/s per GPU over tokens/s of a user of {model}; the tables have its values",
        ", ".join([*shared, "measured points only, each with its clients or its requests/s"]),
        flag="another level, of requests of these lengths, gives as much of one and more of the other",
    )


def _efficient(result: LoadResult) -> list[tuple[LevelRow, tuple[float, float]]]:
    """The levels that have both, each with its tokens/s of a user and of a GPU."""
    measured = [row for row in rows(result) if row.measured]
    places = [(per_user(row.median_tpot), per_gpu(row.statistics.tokens_per_s, result)) for row in measured]
    return [(row, (x, y)) for row, (x, y) in zip(measured, places, strict=True) if x is not None and y is not None]


def _pareto_point(row: LevelRow, place: tuple[float, float], rivals: Sequence[tuple[float, float]]) -> Point:
    (x, y), level = place, row.level
    bounds = row.tokens_interval
    low, high = (per_gpu(bound, row.result) for bound in bounds or (None, None))
    return Point(
        x,
        y,
        None if low is None or high is None else (low, high),
        label=level.name if level.clients is None and level.rate is None else f"{level.clients or f'{level.rate:g}/s'}",
        hover=f"{row.level.name}: {x:,.1f} tokens/s of a user, {y:,.1f} tokens/s per GPU",
        flagged=any(other != place and other[0] >= x and other[1] >= y for other in rivals),
    )


CHARTS: dict[str, Callable[[str, Sequence[LoadResult]], Lines | None]] = {"load": latency, "pareto": pareto}
"""Name in the names of figures → chart of one model's load tests."""
