"""The figures of the HTML page, as Plotly has them. Colours are CSS variables of the page: light, dark or print.

Each trace carries in `meta` the keys that the page's filter knows it by, each annotation in `name`. The page's
legend has the traces that have a name, as text. Plotly reads a little HTML in all other labels, so what
comes from files is escaped in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import escape

from .. import catalog
from ..load.metrics import Figures
from ..load.records import Level
from ..schema import Profile
from ..sweep import derived
from ..sweep.schema import SweepResult, SweepScenario
from . import profile as profile_report
from . import sweep_figures

SERIES = [f"var(--series-{n})" for n in range(8)]
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")
FAMILIES = dict(zip(profile_report.COLOURS, SERIES, strict=True))
ROW_PX, AROUND_PX, LABEL_PX = 88, 56, 16
CURVE_PX = 460
HATCHED = {"shape": "/", "solidity": 0.12, "fgcolor": "var(--muted)", "bgcolor": "var(--card)"}
LABELLED = 0.06  # a part of a bar that is narrower than this share has no room for its figure


@dataclass(frozen=True)
class Line:
    """One row of a figure: on its left `label` over `note`, on its right `value` over `aside`; and its values.

    A narrow window breaks the note where " · " stands in it.

    `samples`: (value, process from 0, what hovering says). `low` and `high` are None without an interval.
    """

    keys: list[int]
    name: str
    label: str
    note: str
    value: str
    aside: str
    mean: float
    samples: list[tuple[float, int, str]]
    low: float | None = None
    high: float | None = None
    colour: str = SERIES[0]
    warnings: str = ""


def strip(lines: list[Line], unit: str) -> dict:
    """A row for each line: samples as dots, a symbol a process; the mean as a stroke, with its 95% interval."""
    figure = _strip(lines, unit)
    figure.update_xaxes(rangemode="tozero")
    return _finished(figure, rows=True)


def ratios(lines: list[Line], unit: str) -> dict:
    """The same of ratios: not from zero, but around a line at 1, where neither is faster."""
    figure = _strip(lines, unit)
    figure.update_xaxes(autorangeoptions={"include": 1})
    at_1 = {"x0": 1, "x1": 1, "y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
    figure.add_shape(type="line", line={"color": "var(--muted)", "width": 1.5, "dash": "dash"}, **at_1)
    return _finished(figure, rows=True)


def _strip(lines: list[Line], unit: str):
    from plotly import graph_objects as go

    figure = go.Figure()
    for line in lines:
        figure.add_trace(_dots(line, unit))
        figure.add_trace(_mean(line, unit))
    _label_rows(figure, lines)
    figure.update_xaxes(title_text=escape(unit))
    return figure


def _dots(line: Line, unit: str):
    from plotly import graph_objects as go

    return go.Scatter(
        x=[value for value, *_ in line.samples],
        y=[line.name] * len(line.samples),
        mode="markers",
        marker={
            "symbol": [SYMBOLS[process % len(SYMBOLS)] for _, process, _ in line.samples],
            "size": 9,
            "opacity": 0.65,
            "color": line.colour,
            "line": {"width": 1, "color": "var(--card)"},
        },
        customdata=[escape(said) for *_, said in line.samples],
        hovertemplate=f"%{{customdata}}<br><b>%{{x:.6~g}} {escape(unit)}</b><extra></extra>",
        meta=line.keys,
    )


def _mean(line: Line, unit: str):
    from plotly import graph_objects as go

    error = None
    if line.low is not None:
        ends = {"array": [line.high - line.mean], "arrayminus": [line.mean - line.low]}
        error = {"type": "data", "symmetric": False, "thickness": 2, "width": 7, "color": "var(--ink)", **ends}
    said = "mean" if line.low is None else f"mean, 95% interval {line.low:.6g} … {line.high:.6g}"
    return go.Scatter(
        x=[line.mean],
        y=[line.name],
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 22, "line": {"width": 3}, "color": "var(--ink)"},
        error_x=error,
        hovertemplate=f"{said}<br><b>%{{x:.6~g}} {escape(unit)}</b><extra></extra>",
        meta=line.keys,
    )


def _label_rows(figure, lines: Iterable[Line]) -> None:
    """Above each row on the left what it is, on the right its figure: no room is lost on a narrow window."""
    for line in lines:
        warned = f" · <span style='color:var(--warn)'>⚠ {escape(line.warnings)}</span>" if line.warnings else ""
        texts = ((line.label, line.note, warned, 0, "left"), (line.value, line.aside, "", 1, "right"))
        for above, below, then, x, side in texts:
            figure.add_annotation(
                text=f"<b>{escape(above)}</b><br><span style='color:var(--muted)'>{escape(below)}</span>{then}",
                x=x,
                xref="paper",
                xanchor=side,
                align=side,
                y=line.name,
                yanchor="bottom",
                yshift=LABEL_PX,
                bgcolor="var(--card)",
                borderpad=0,
                showarrow=False,
                name=" ".join(map(str, line.keys)),
            )
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=[line.name for line in reversed(lines)],
        showticklabels=False,
        showgrid=False,
    )


def steps(lines: list[tuple[Line, Profile]]) -> dict:
    """A bar for each profile: the shares of a step that the device worked, by family, and that it waited."""
    from plotly import graph_objects as go

    figure = go.Figure(layout={"barmode": "stack"})
    for line, profile in lines:
        for part, seconds in profile_report.step_parts(profile).items():
            share, colour = seconds / profile.step_s if profile.step_s > 0 else 0.0, FAMILIES.get(part)
            bar = go.Bar(
                x=[share],
                y=[line.name],
                orientation="h",
                name=part,
                marker={
                    "color": colour or "var(--card)",
                    "pattern": None if colour else HATCHED,
                    "line": _edge(colour),
                },
                text=f"{share:.0%}" if share > LABELLED else "",
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"color": "var(--on-series)" if colour else "var(--ink)"},
                constraintext="none",
                hovertemplate=f"{part}<br><b>{1e3 * seconds:.4g} ms, {share:.1%}</b><extra></extra>",
                width=0.34,
                meta=line.keys,
            )
            figure.add_trace(bar)
    _label_rows(figure, [line for line, _ in lines])
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    return _finished(figure, rows=True)


def _edge(colour: str | None) -> dict:
    return {"color": "var(--card)" if colour else "var(--muted)", "width": 1}


def throughput(sweep: SweepResult, keys: dict[tuple[str, str], int]) -> dict | None:
    """Decode tokens/s over the batch size, and what memory (dashed) and products (dotted) allow.

    `keys`: (engine, precision) → key. None where there are no two points to draw a line through.
    """
    drawn = sweep_figures.lines(sweep, "batch_size", sweep_figures.decode_tokens_per_s)
    figure = _curves(sweep, drawn, "batch_size", keys)
    if figure is None:
        return None
    _add_limits(figure, sweep, drawn, keys)
    figure.update_xaxes(title_text="batch size")
    figure.update_yaxes(title_text="decode tokens/s, all sequences")
    return _finished(figure)


def prefill(sweep: SweepResult, keys: dict[tuple[str, str], int]) -> dict | None:
    """Prefill time over the prompt's length; None where there are no two points to draw a line through."""
    drawn = sweep_figures.lines(sweep, "prompt_tokens", sweep_figures.prefill_s)
    figure = _curves(sweep, drawn, "prompt_tokens", keys)
    if figure is None:
        return None
    figure.update_xaxes(title_text="prompt tokens of each sequence")
    figure.update_yaxes(title_text="prefill, s")
    return _finished(figure)


def _curves(sweep: SweepResult, drawn: dict, along: str, keys: dict[tuple[str, str], int]):
    """The lines, on axes of powers, each with its label."""
    from plotly import graph_objects as go

    if not any(len(points) > 1 for points in drawn.values()):
        return None
    figure = go.Figure()
    for number, points in enumerate(drawn.values()):
        first = points[0][0]
        figure.add_trace(
            go.Scatter(
                x=[getattr(scenario, along) for scenario, _ in points],
                y=[value for _, value in points],
                error_y={"array": [_error(scenario, along) for scenario, _ in points], "thickness": 1.5},
                mode="lines+markers",
                name=sweep_figures.label(sweep, first, along),
                line={"color": SERIES[number % len(SERIES)], "width": 2.5},
                marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 9},
                customdata=[escape(scenario.title()) for scenario, _ in points],
                hovertemplate="%{customdata}<br><b>%{y:.4~g}</b><extra></extra>",
                meta=[keys[first.engine, first.precision]],
            )
        )
    ticks = sorted({getattr(scenario, along) for points in drawn.values() for scenario, _ in points})
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks])
    figure.update_yaxes(type="log", dtick="D2", tickformat=",~g")
    return figure


def _error(scenario: SweepScenario, along: str) -> float | None:
    """The standard error of the decode rate; of the prefill none is shown."""
    rate = derived.decode_rate(scenario) if along == "batch_size" else None
    return rate and rate.standard_error


def _add_limits(figure, sweep: SweepResult, drawn: dict, keys: dict[tuple[str, str], int]) -> None:
    """The two bounds of the roofline; of engines that differ in nothing else, they are the same."""
    spec = catalog.load(sweep.settings.model)
    engines: dict[tuple, list[SweepScenario]] = {}
    for (_, *others), points in drawn.items():
        limited = [scenario for scenario, _ in points if derived.limits_of(sweep, scenario)]
        engines.setdefault(tuple(others), []).extend(limited)
    for number, scenarios in enumerate(filter(None, engines.values())):
        limits = derived.limits_of(sweep, scenarios[0])
        memory = sorted({(one.batch_size, derived.memory_limit(spec, one, limits)) for one in scenarios})
        products = [(batch, derived.compute_limit(spec, limits)) for batch, _ in memory]
        colour, holds = SERIES[number % len(SERIES)], sorted({keys[one.engine, one.precision] for one in scenarios})
        figure.add_trace(_limit("limit of the memory bandwidth, measured", memory, "dash", colour, holds))
        figure.add_trace(_limit("limit of the matrix products, measured", products, "dot", colour, holds))


def _limit(title: str, points: list[tuple[int, float]], dash: str, colour: str, keys: list[int]):
    from plotly import graph_objects as go

    return go.Scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="lines",
        name=title,
        line={"color": colour, "dash": dash, "width": 1.5},
        hovertemplate=f"{title}<br><b>%{{y:.4~g}} tokens/s</b><extra></extra>",
        meta=keys,
    )


def latency(curves: list[tuple[int, str, list[tuple[Level, Figures]]]]) -> dict | None:
    """Median latency over throughput, a curve for each (key, name, levels); None where no level has a latency.

    A level that has remarks in the table is hollow.
    """
    from plotly import graph_objects as go

    figure = go.Figure()
    for number, (key, name, levels) in enumerate(curves):
        points = [(level, found) for level, found in levels if found.e2e_s]
        if not points:
            continue
        waits = points[0][0].clients is not None
        symbol = SYMBOLS[number % len(SYMBOLS)]
        figure.add_trace(
            go.Scatter(
                x=[found.requests_per_s for _, found in points],
                y=[found.e2e_s["p50"] for _, found in points],
                mode="lines+markers+text",
                text=["trace" if not (load := level.clients or level.rate) else f"{load:g}" for level, _ in points],
                textposition="top center",
                name=name,
                line={"color": SERIES[number % len(SERIES)], "width": 2.5, "dash": None if waits else "dash"},
                marker={"symbol": [symbol + ("-open" if found.remarks else "") for _, found in points], "size": 10},
                customdata=[escape(_told(level, found)) for level, found in points],
                hovertemplate="%{customdata}<br><b>%{x:.3~g} requests/s, %{y:.4~g} s</b><extra></extra>",
                meta=[key],
            )
        )
    if not figure.data:
        return None
    figure.update_xaxes(title_text="throughput, requests/s", rangemode="tozero")
    figure.update_yaxes(title_text="latency (median), s", rangemode="tozero")
    return _finished(figure)


def _told(level: Level, found: Figures) -> str:
    percentiles = ", ".join(f"{name} {seconds:.3g} s" for name, seconds in found.e2e_s.items())
    return "; ".join([f"{level.name}: E2E {percentiles}", *found.remarks])


def _finished(figure, rows: bool = False) -> dict:
    """The figure as plain JSON, in the page's colours. With `rows` its height follows from how many are shown."""
    figure.update_layout(
        template="none",
        font={"color": "var(--ink)", "size": 12.5, "family": "var(--font)"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 8 if rows else 64, "r": 12, "t": 8, "b": 48},
        hoverlabel={
            "bgcolor": "var(--card)",
            "bordercolor": "var(--muted)",
            "align": "left",
            "font": {"color": "var(--ink)"},
        },
        hovermode="closest",
        dragmode=False,
        showlegend=False,  # the page has its own, which wraps
        meta={"row_px": ROW_PX, "around_px": AROUND_PX} if rows else {"height_px": CURVE_PX},
    )
    axis = {
        "gridcolor": "var(--line)",
        "linecolor": "var(--line)",
        "fixedrange": True,
        "zeroline": False,
        "title_font_size": 12.5,
    }
    figure.update_xaxes(**axis, automargin=True)
    figure.update_yaxes(**axis, automargin=not rows)
    return figure.to_plotly_json()
