"""The chart of load tests: latency over throughput, as in FastGen's post."""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.report.chart import Axis, Lines, Point, Series

from .labels import facets_of, title
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
    says = f"Median latency over throughput of {model}; the tables have its figures"
    return Lines(f"Latency over throughput of {model}", x, y, tuple(series), says)


def _curve(name: str, result: LoadResult, kind: str) -> Series | None:
    levels = [row for row in rows(result) if getattr(row.level, kind) is not None and row.statistics.e2e_s]
    if not levels:
        return None
    stroke = "solid" if kind == "clients" else "dashed"
    points = tuple(map(_point, levels))
    return Series(f"{name}; labelled with its {kind}", points, (facets_of(result),), stroke, colour=name)


def _point(row: LevelRow) -> Point:
    e2e, load = row.statistics.e2e_s or {}, row.level.clients or row.level.rate
    percentiles = ", ".join(f"{name} {seconds:.3g} s" for name, seconds in e2e.items())
    return Point(
        row.statistics.requests_per_s or 0.0,
        e2e["p50"],
        label=f"{load:g}",
        hover="; ".join([f"{row.level.name}: E2E {percentiles}", *row.statistics.remarks]),
        flagged=bool(row.statistics.remarks),
    )
