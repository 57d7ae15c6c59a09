"""Rows of samples or of bars, each below its texts, as Altair's charts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from . import palette
from .chart import BarRow, Bars, Row, Strip, StripRow
from .legend import INK, MARKERS, MUTED, part_colours, part_entry
from .scales import scale_of
from .specs import APART, LINE, NUMBER, Datasets, Place, axis, legend_layer, title, visible, width

WARN, ON_SERIES = "var(--warn)", "var(--on-series)"
TEXTS = {"label": INK, "note": MUTED, "warnings": WARN, "value": INK, "aside": MUTED}
BOLD = ("label", "value")
LINE_PX, MARKS_PX, BAR_PX = 16, 48, 30
LABELLED_SHARE = 0.06  # a part of a bar that is narrower than this share has no room for its number


def strip(chart: Strip, place: Place, data: Datasets):
    """A row for each configuration: its texts, and below them its samples, their mean and its interval."""
    import altair as alt

    texts, text_px = _texts(chart.rows, place, data)
    middle = text_px / 2
    scale = scale_of(chart.axis, _values(chart))
    across, place_y = alt.X("value:Q", **axis(chart.axis, scale, grid=False)), _row_place()
    groups = dict.fromkeys(row.colour or row.label for row in chart.rows)
    colours = {group: palette.SERIES[n % len(palette.SERIES)] for n, group in enumerate(groups)}
    dots = [
        {
            "id": number,
            "value": sample.value,
            "shape": MARKERS[sample.process % len(MARKERS)],
            "colour": colours[row.colour or row.label],
            "hover": "\n".join(filter(None, [sample.hover, f"{sample.value:,.6g} {chart.axis.unit}".strip()])),
        }
        for number, row in enumerate(chart.rows)
        for sample in row.samples
    ]
    colour, shape = alt.Color("colour:N", scale=None), alt.Shape("shape:N", scale=None)
    samples = visible(dots, data).mark_point(filled=True, size=75, opacity=0.65, yOffset=middle)
    *intervals, mean = _means(chart, data, middle, across, place_y)
    dots_layer = samples.encode(x=across, y=place_y, color=colour, shape=shape, tooltip=alt.Tooltip("hover:N"))
    layers = [*intervals, dots_layer, mean]  # an interval hides no sample that is hovered over
    references = [] if chart.reference is None else [chart.reference]
    strokes = {"size": MARKS_PX, "opacity": 1, "orient": "vertical", "yOffset": middle}
    grid = [
        _behind(values, len(chart.rows), data).mark_tick(**look, **strokes).encode(x=across, y=place_y)
        for values, look in (
            (scale.ticks, {"color": LINE, "thickness": 1}),
            (references, {"color": MUTED, "thickness": 1.5}),
        )
    ]
    return _rows([*grid, *layers, *texts], text_px, place)


def _values(chart: Strip) -> list[float]:
    """All that must be within the axis."""
    samples = [sample.value for row in chart.rows for sample in row.samples]
    ends = [end for row in chart.rows for end in (row.low, row.high, row.mean) if end is not None]
    return [*samples, *ends, *([] if chart.reference is None else [chart.reference])]


def _behind(values: Sequence[float], rows: int, data: Datasets):
    """The values in each row: strokes there cross no text, as the lines of a grid would."""
    return visible([{"id": number, "value": value} for number in range(rows) for value in values], data)


def _means(chart: Strip, data: Datasets, middle: float, across, place_y) -> list:
    """Each row's mean as a stroke, and its interval as a line with two ends."""
    import altair as alt

    means = [
        {"id": number, "value": row.mean, "low": row.low, "high": row.high, "hover": _mean_hover(row, chart.axis.unit)}
        for number, row in enumerate(chart.rows)
    ]
    every = visible(means, data)
    known = every.transform_filter("datum.low !== null")
    placed = {"y": place_y, "tooltip": alt.Tooltip("hover:N")}
    interval = known.mark_rule(strokeWidth=2, stroke=INK, yOffset=middle)
    stroke = {"color": INK, "opacity": 1, "yOffset": middle, "orient": "vertical"}
    return [
        interval.encode(x=alt.X("low:Q", title=chart.axis.heading), x2=alt.X2("high:Q"), **placed),
        *(
            known.mark_tick(size=10, thickness=2, **stroke).encode(
                x=alt.X(f"{end}:Q", title=chart.axis.heading), **placed
            )
            for end in ("low", "high")
        ),
        every.mark_tick(size=24, thickness=3, **stroke).encode(x=across, **placed),
    ]


def _mean_hover(row: StripRow, unit: str) -> str:
    interval = "" if row.low is None else f", 95% interval {row.low:,.6g} … {row.high:,.6g}"
    return f"mean{interval}\n{row.mean:,.6g} {unit}".strip()


def bars(chart: Bars, place: Place, data: Datasets):
    """A bar for each configuration: on the page all in shares, in a document each with its own axis in ms."""
    import altair as alt

    colours = part_colours(chart)
    if place.is_document:
        bars = [_timed_bar(row, number, colours, place, data) for number, row in enumerate(chart.rows)]
        return alt.vconcat(*bars, spacing=26).resolve_scale(
            stroke="independent", fill="independent", shape="independent"
        )
    texts, text_px = _texts(chart.rows, place, data)
    parts = [part for number, row in enumerate(chart.rows) for part in _parts(row, number, colours, 1.0)]
    shares = {"scale": alt.Scale(domain=[0, 1]), "axis": alt.Axis(format=".0%", grid=False, **APART, tickCount=5)}
    return _rows(_bar_layers(visible(parts, data), "share of the whole", shares, text_px / 2) + texts, text_px, place)


def _timed_bar(row: BarRow, number: int, colours: dict[str, str | None], place: Place, data: Datasets):
    """One bar over the time of its parts, under its heading, over a legend that has their numbers."""
    import altair as alt

    whole_ms = 1e3 * sum(seconds for _, seconds in row.parts)
    parts = _parts(row, number, colours, whole_ms)
    scale = alt.Scale(domain=[0, whole_ms or 1], nice=False)
    times = {"scale": scale, "axis": alt.Axis(format=NUMBER, grid=False, tickCount=8)}
    shown = [part_entry(part["numbers"], colours[part["name"]], []) for part in parts]
    layers = [*_bar_layers(visible(parts, data), "ms", times, 0), legend_layer(shown, place)]
    heading = title(
        " · ".join(filter(None, [row.label, row.value])),
        " · ".join(filter(None, [row.note, row.aside, row.warnings])),
        place,
    )
    return alt.LayerChart(layer=layers, width=place.width_px, height=BAR_PX, title=heading)


def _parts(row: BarRow, number: int, colours: dict[str, str | None], whole: float) -> list[dict]:
    """The parts of a bar that is as long as `whole`, each from where the one before it ends."""
    parts, start = [], 0.0
    for name, seconds, share in row.shares:
        numbers = f"{name}  {1e3 * seconds:.3g} ms ({_percent(share)})"
        parts.append(
            {
                "id": number,
                "name": name,
                "start": start * whole,
                "middle": (start + share / 2) * whole,
                "end": (start + share) * whole,
                "text": _percent(share) if share > LABELLED_SHARE else "",
                "numbers": numbers,
                "hover": numbers,
                "fill": colours[name] or "transparent",
                "stroke": "transparent" if colours[name] else MUTED,
                "ink": ON_SERIES if colours[name] else INK,
            }
        )
        start += share
    return parts


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _bar_layers(base, title: str, length: dict, middle: float) -> list:
    """The bars, and the numbers that stand in them."""
    import altair as alt

    row = _row_place()
    fill, stroke = alt.Fill("fill:N", scale=None), alt.Stroke("stroke:N", scale=None)
    bars = base.mark_bar(size=BAR_PX, yOffset=middle)
    texts = base.mark_text(fontWeight="bold", fontSize=12, dy=middle)
    return [
        bars.encode(
            x=alt.X("start:Q", title=title, **length),
            x2=alt.X2("end:Q"),
            y=row,
            fill=fill,
            stroke=stroke,
            tooltip=alt.Tooltip("hover:N"),
        ),
        texts.encode(
            x=alt.X("middle:Q", title=title), y=row, text=alt.Text("text:N"), color=alt.Color("ink:N", scale=None)
        ),
    ]


def _row_place():
    """The middle of a row: rows that are not shown leave no gap."""
    import altair as alt

    return alt.Y("id:O", axis=None, scale=alt.Scale(padding=0))


def _rows(layers: list, text_px: int, place: Place):
    import altair as alt

    return alt.LayerChart(layer=layers, height=alt.Step(text_px + MARKS_PX), **width(place))


def _texts(rows: Sequence[Row], place: Place, data: Datasets) -> tuple[list, int]:
    """The layers of the rows' texts, and how high they are, in px: what it is on the left, its result on the right.

    A row that has fewer lines than others has them right above its marks.
    """
    left, right = ["label", "note", "warnings"], ["value", "aside"]
    if place.stacked:
        columns = {"left": (left + right, place.characters)}
    else:
        longest = max((len(getattr(row, name)) for row in rows for name in right), default=0)
        taken = min(longest + 2, place.characters // 2)
        columns = {"left": (left, place.characters - taken), "right": (right, taken)}
    wrapped = {side: [_wrapped(row, *column) for row in rows] for side, column in columns.items()}
    lines = [max(map(len, of_row)) for of_row in zip(*wrapped.values(), strict=True)]
    highest = max(lines, default=0)
    tops = [LINE_PX * (highest - count) - (LINE_PX * highest + MARKS_PX) / 2 for count in lines]
    return [_text_layer(side, texts, tops, data) for side, texts in wrapped.items()], LINE_PX * highest


def _wrapped(row: Row, names: list[str], characters: int) -> list[tuple[str, str]]:
    """(name, text) of each line."""
    return [(name, line) for name in names for line in textwrap.wrap(getattr(row, name), characters)]


def _text_layer(side: str, texts: list[list[tuple[str, str]]], tops: list[float], data: Datasets):
    """The lines of all rows on one side; `tops` are the rows' first, in px from their middles."""
    import altair as alt

    lines = [
        {"id": number, "text": text, "dy": top + LINE_PX * n, "colour": TEXTS[name], "bold": name in BOLD}
        for number, (row, top) in enumerate(zip(texts, tops, strict=True))
        for n, (name, text) in enumerate(row)
    ]
    look = {"dy": alt.expr("datum.dy"), "fontWeight": alt.expr("datum.bold ? 'bold' : 'normal'")}
    mark = visible(lines, data).mark_text(align=side, baseline="line-top", fontSize=12.5, **look)
    edge = alt.value(0 if side == "left" else "width")
    return mark.encode(x=edge, y=_row_place(), text=alt.Text("text:N"), color=alt.Color("colour:N", scale=None))
