"""A load test as a table and as curves of latency over throughput."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tabulate import tabulate

from ..load import metrics
from ..load.metrics import GENERATION_TOKENS_PER_S, Figures
from ..load.records import Level, LoadResult
from ..load.saturation import highest_sustained, judge
from . import NOT_MEASURED, figures
from .profile import COLOURS, INK

MARKERS = "os^Dv"
LEGEND = (
    "E2E, TTFT, TPOT, ITL: p50, p90, p95, p99 in seconds, of requests due in the steady window; requests/s and "
    "tokens/s: what ended and what came in it; failed requests are in none of them; effective: requests/s within "
    f"FastGen's service level at {', '.join(map(str, GENERATION_TOKENS_PER_S))} tokens/s"
)


def rows(result: LoadResult) -> list[dict[str, str]]:
    """Column title → cell of each level."""
    return [_row(level, result.sla) for level in result.levels]


def _row(level: Level, sla: dict[str, float | None]) -> dict[str, str]:
    found = metrics.figures(level, sla)
    return {
        "load": level.name,
        "requests/s": f"{found.requests_per_s:.2f} of {found.offered_per_s:.2f}",
        "tokens/s": f"{found.tokens_per_s:.1f}",
        "E2E": _cells(found.e2e_s),
        "TTFT": _cells(found.ttft_s),
        "TPOT": _cells(found.tpot_s),
        "ITL": _cells(found.itl_s),
        "goodput": NOT_MEASURED if found.good_per_s is None else f"{found.good_per_s:.2f}",
        "effective": ", ".join(f"{value:.2f}" for value in found.effective_per_s.values()),
        "failed": f"{found.failed} of {found.due}",
        "lag p99": NOT_MEASURED if found.lag_p99_s is None else f"{1e3 * found.lag_p99_s:.2f} ms",
        "generator": f"{level.generator_cpu_share:.0%} CPU",
        "server's CPU": ", ".join(f"{name} {share:.0%}" for name, share in level.server_cpu_share.items()),
        "verdict": judge(level).words if level.rate is not None else "",
        "remarks": "; ".join(found.remarks),
    }


def _cells(values: dict[str, float] | None) -> str:
    return NOT_MEASURED if values is None else ", ".join(f"{value:.3g}" for value in values.values())


def line(level: Level, sla: dict[str, float | None]) -> str:
    """One level in a line, as soon as it is over."""
    row = _row(level, sla)
    shown = [f"{title} {row[title]}" for title in ("requests/s", "tokens/s", "E2E")]
    return "; ".join([f"{level.name}: {', '.join(shown)}", *filter(None, [row["verdict"], row["remarks"]])])


def table(result: LoadResult) -> str:
    """All levels, and what must be known beside them."""
    shown = tabulate(told_rows(result), headers="keys", tablefmt="github", disable_numparse=True)
    return "\n\n".join([shown, *notes(result)])


def notes(result: LoadResult) -> list[str]:
    """What was asked, and what the levels say together."""
    found = [_service(result), LEGEND]
    rates = [level.rate for level in result.levels if level.rate is not None]
    if rates:
        found.insert(1, "highest sustained rate: " + _sustained(result, min(rates)))
    if result.stopped:
        found.insert(1, f"stopped at {result.stopped}")
    return found


def _sustained(result: LoadResult, lowest: float) -> str:
    sustained = highest_sustained(result.levels)
    if sustained is not None:
        return f"{sustained:g} requests/s"
    if any(level.rate == lowest and judge(level).saturated for level in result.levels):
        return f"below {lowest:g} requests/s, the lowest that was tried"
    return NOT_MEASURED


def told_rows(result: LoadResult) -> list[dict[str, str]]:
    """The rows without the columns that say nothing at any level."""
    cells = rows(result)
    empty = {title for title in (cells[0] if cells else {}) if {row[title] for row in cells} <= {"", NOT_MEASURED}}
    return [{title: value for title, value in row.items() if title not in empty} for row in cells]


def _service(result: LoadResult) -> str:
    return f"{title(result)}. {result.target['service']}"


def title(result: LoadResult) -> str:
    """What was loaded with what, in one line."""
    scenario, workload = result.scenario, result.workload
    random = " (random weights)" if scenario["weights"] == "random" else ""
    spread = f" ± {workload['spread']:.0%}" if workload["spread"] else ""
    lengths = f"{workload['prompt_tokens'] or 'given'} + {workload['max_tokens'] or 'given'} tokens{spread}"
    name = f"{result.target['name']} ({scenario['engine']})"
    return f"{result.model.get('title', scenario['model'])}{random}, {name}, {scenario['precision']}, {lengths}"


def refusal(result: LoadResult) -> str | None:
    """Why a load test must not be published; None when it may."""
    if "digest" not in result.model:
        return "no model was loaded: it measures the load generator"
    if result.status != "complete":
        return f"its status is {result.status!r}"
    return None


def generator_row(row: dict, _found: dict) -> dict[str, str]:
    """Column title → cell of one rate in the proof of the load generator."""
    return {
        "requests/s": f"{row['rate']:g}",
        "requests": f"{row['requests']:,}" + (f", {row['failed']} failed" if row["failed"] else ""),
        "E2E p50, p99 beyond the known": f"{row['e2e_p50_error']:+.2%}, {row['e2e_p99_error']:+.2%}",
        "TTFT p50, p99": f"{row['ttft_p50_error']:+.2%}, {row['ttft_p99_error']:+.2%}",
        "lag p99": f"{1e3 * row['lag_p99_s']:.2f} ms",
        "CPU": f"{row['cpu_share']:.0%}",
        "right": "yes" if row["right"] else "no",
    }


def saturation_row(row: dict, found: dict) -> dict[str, str]:
    """Column title → cell of one kind of queue in the simulation of the rule for saturation."""
    shares = zip(found["utilizations"], row["saturated"], strict=True)
    return {
        "served": row["served"],
        "services in the window": str(row["services"]),
        **{f"utilization {utilization:g}": f"{count / found['runs']:.1%}" for utilization, count in shares},
    }


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


def draw(folder: Path, results: list[LoadResult]) -> None:
    """Write load.svg and load.png. Raises MachineError when they cannot be written."""
    figures.write(folder, {"load": partial(figure, results)})
