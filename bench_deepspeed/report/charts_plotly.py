"""The figures of the HTML page, as Plotly has them. Colours are CSS variables of the page: light, dark or print.

Each trace carries in `meta` the keys that the page's filter knows it by, each annotation in `name`. The page's
legend has the traces that have a name, as text. Plotly reads a little HTML in all other labels, so what
comes from files is escaped in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import escape

SERIES = [f"var(--series-{n})" for n in range(8)]
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")
ROW_PX, AROUND_PX, LABEL_PX = 88, 56, 16
CURVE_PX = 460


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
