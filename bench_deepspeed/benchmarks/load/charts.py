from __future__ import annotations

from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.run.profile_view import COLOURS, INK
from bench_deepspeed.report import svg

from . import metrics
from .metrics import Figures
from .records import Level, LoadResult
from .view import title

MARKERS = "os^Dv"


def figure(results: list[LoadResult]):
    """A matplotlib Figure as in FastGen's post: median latency over requests/s, one curve a load test.

    Transparent, for light and dark pages. A level that has remarks in the table is hollow.
    """
    from matplotlib.figure import Figure

    picture = Figure(figsize=(10, 5), layout="constrained")
    axis = picture.subplots()
    colours = [*COLOURS.values()]
    for number, result in enumerate(results):
        look = {"color": colours[number % len(colours)], "marker": MARKERS[number % len(MARKERS)]}
        for kind, style in (("clients", "-"), ("rate", "--")):
            levels = [level for level in result.levels if getattr(level, kind) is not None]
            found = [(level, metrics.figures(level, result.sla)) for level in levels]
            _curve(axis, found, title(result), {"linestyle": style, **look})
    axis.set_title("hollow: the table has a remark on it", loc="right", color=INK, fontsize=10)
    axis.set_xlabel("throughput, requests/s", color=INK, fontsize=12)
    axis.set_ylabel("latency (median), s", color=INK, fontsize=12)
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.tick_params(colors=INK)
    axis.grid(color=INK, alpha=0.25)
    axis.spines[["right", "top"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(INK)
    if axis.lines:
        picture.legend(loc="outside lower left", frameon=False, labelcolor=INK, fontsize=10)
    return picture


def _curve(axis, found: list[tuple[Level, Figures]], name: str, look: dict) -> None:
    """One curve through levels of a kind, each with its clients or its rate beside it."""
    points = [(fig.requests_per_s, fig.e2e_s["p50"], level, fig.remarks) for level, fig in found if fig.e2e_s]
    if not points:
        return
    kind = "clients" if points[0][2].clients is not None else "rate"
    xs, ys = zip(*[point[:2] for point in points], strict=True)
    axis.plot(xs, ys, label=f"{name}; labelled with its {kind}", **look)
    for x, y, level, remarks in points:
        if remarks:
            axis.plot([x], [y], markerfacecolor="white", **{**look, "linestyle": ""})
        shown = {"color": look["color"], "fontweight": "bold", "textcoords": "offset points"}
        axis.annotate(f"{level.clients or level.rate:g}", (x, y), (5, 6 if kind == "clients" else -15), **shown)


def draw(folder: Path, results: list[LoadResult]) -> list[Path]:
    """Write load.png and load.svg. Returns where, as `figures.write` does."""
    return svg.write(folder, {"load": partial(figure, results)})
