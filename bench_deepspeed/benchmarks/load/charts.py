"""The chart of load tests: latency over throughput, as in FastGen's post."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench_deepspeed.report.chart import Axis, Lines, Point, Series

from .labels import facets_of, percentile_text, title
from .metrics import LevelRow, rows
from .records import LoadResult


def latency(model: str, results: Sequence[LoadResult]) -> Lines | None:
    """Median latency over requests/s of one model, one curve a load test: solid by clients, dashed by rate.

    None where no level has a latency. A level that has remarks in the table is flagged.
    """
    titles = [title(result) for result in results]
    names = [f"{name}, test {n}" if titles.count(name) > 1 else name for n, name in enumerate(titles, start=1)]
    curves = [_curve(*named, kind) for named in zip(names, results, strict=True) for kind in ("clients", "rate")]
    series = [curve for curve in curves if curve]
    if not series:
        return None
    x, y = Axis("throughput, requests/s", from_zero=True), Axis("latency (median)", "s", from_zero=True)
    description = f"Median latency over throughput of {model}; the tables have its values"
    return Lines(f"Latency over throughput of {model}", x, y, tuple(series), description)


def _curve(name: str, result: LoadResult, kind: str) -> Series | None:
    levels = [row for row in rows(result) if getattr(row.level, kind) is not None and _median(row) is not None]
    if not levels:
        return None
    stroke = "solid" if kind == "clients" else "dashed"
    points = tuple(map(_point, levels))
    return Series(f"{name}; labelled with its {kind}", points, (facets_of(result),), stroke, colour=name)


def _median(row: LevelRow) -> float | None:
    """Median E2E in seconds, where it is measured and finite."""
    found = row.statistics.latencies.get("e2e", {}).get(50)
    return None if found is None or found.value is None or math.isinf(found.value) else found.value


def _point(row: LevelRow) -> Point:
    load, shown = row.level.clients or row.level.rate, row.statistics.latencies["e2e"].items()
    percentiles = "; ".join(f"p{percent}, ms: {percentile_text(found)}" for percent, found in shown)
    return Point(
        row.statistics.requests_per_s or 0.0,
        _median(row) or 0.0,
        label=f"{load:g}",
        hover="; ".join([f"{row.level.name}: E2E {percentiles}", *row.statistics.remarks]),
        flagged=bool(row.statistics.remarks),
    )
