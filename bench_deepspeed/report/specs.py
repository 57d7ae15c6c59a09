"""Descriptions of charts as Altair's charts, one function for each type, for a place of a given width.

Each draws only the series or rows of which the parameter `shown` has the number.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from . import palette
from .chart import Axis, BarRow, Bars, Lines, Row, Series, Strip, StripRow
from .legend import INK, MARKERS, MUTED, LegendEntry, Look, legend, part_colours, part_entry, series_looks

DASHES = {"solid": [1, 0], "dashed": [7, 4], "dotted": [2, 3]}
LINE, WARN, ON_SERIES = "var(--line)", "var(--warn)", "var(--on-series)"
TEXTS = {"label": INK, "note": MUTED, "warnings": WARN, "value": INK, "aside": MUTED}
BOLD = ("label", "value")
SHOWN = "indexof(shown, datum.id) >= 0"
NUMBER = ",.12~g"  # so many digits that none is written as a power: 1,000,000, not 1e+06
LINE_PX, MARKS_PX, CURVES_PX, BAR_PX = 16, 48, 380, 30
TICKS = 12
APART = {"labelOverlap": "greedy", "labelSeparation": 6}
Datasets = dict[str, list[dict]]
"""The records of a chart's layers by name. They stay outside Altair's objects, which are copied at each step."""
LABELLED_SHARE = 0.06  # a part of a bar that is narrower than this share has no room for its number


@dataclass(frozen=True)
class Place:
    """Where a chart is drawn. `width_px`: None is as wide as the page gives. `characters`: of a line of text."""

    width_px: int | None
    characters: int
    stacked: bool = False
    """A row's texts stand below one another."""

    @property
    def is_document(self) -> bool:
        """It has a title and a legend; a page writes them itself."""
        return self.width_px is not None


DOCUMENT = Place(width_px=760, characters=120)
WIDE = Place(width_px=None, characters=80)
NARROW = Place(width_px=None, characters=44, stacked=True)


def lines(chart: Lines, place: Place, data: Datasets):
    """Curves through points: error bars, markers, labels; in a document a legend below."""
    import altair as alt

    points = [
        _point(number, order, chart, series, look)
        for number, (series, look) in enumerate(zip(chart.series, series_looks(chart), strict=True))
        for order in range(len(series.points))
    ]
    xs, lows, highs = ([point[name] for point in points] for name in ("x", "low", "high"))
    x = alt.X("x:Q", **_axis(chart.x, xs, of_points=True))
    y = alt.Y("y:Q", **_axis(chart.y, lows + highs))
    base = _visible(points, data)
    colour = alt.Stroke("colour:N", scale=None)
    line = base.mark_line(strokeWidth=2.25).encode(
        x=x,
        y=y,
        stroke=colour,
        strokeDash=alt.StrokeDash("dash:N", scale=None),
        detail=alt.Detail("id:N"),
        order=alt.Order("order:Q"),
    )
    fill = alt.condition("datum.flagged", alt.value("transparent"), alt.Fill("colour:N", scale=None))
    shape, opacity = alt.Shape("shape:N", scale=None), alt.Opacity("opacity:Q", scale=None)
    markers = base.mark_point(size=70, strokeWidth=2).encode(
        x=x, y=y, stroke=colour, fill=fill, shape=shape, opacity=opacity, tooltip=alt.Tooltip("hover:N")
    )
    offset = {"align": "right", "dx": -5, "dy": alt.expr("datum.dash[1] ? 14 : -9")}  # those of dashed lines below
    labels = base.mark_text(**offset, fontWeight="bold", fontSize=12).encode(
        x=x, y=y, text=alt.Text("label:N"), color=alt.Color("colour:N", scale=None)
    )
    keyed = [_legend(legend(chart), place)] if place.is_document else []
    layers = [*_error_bars(base, x, chart.y.heading), line, markers, labels, *keyed]
    return alt.LayerChart(layer=layers, height=CURVES_PX, **_width(place))


def _error_bars(base, x, heading: str) -> list:
    """A bar and its ends, of the points that have an interval."""
    import altair as alt

    erring = base.transform_filter("datum.erring")
    look = {"x": x, "color": alt.Color("colour:N", scale=None)}
    ends = [
        erring.mark_tick(size=9, thickness=1.75, opacity=1, orient="horizontal").encode(
            y=alt.Y(f"{end}:Q", title=heading), **look
        )
        for end in ("low", "high")
    ]
    bar = erring.mark_rule(strokeWidth=1.75).encode(y=alt.Y("low:Q", title=heading), y2=alt.Y2("high:Q"), **look)
    return [bar, *ends]


def _point(number: int, order: int, chart: Lines, series: Series, look: Look) -> dict:
    point = series.points[order]
    low, high = point.interval or (point.y, point.y)
    return {
        "id": number,
        "order": order,
        "x": point.x,
        "y": point.y,
        # A logarithm ends above 0: below that only the upper half of the interval is drawn.
        "low": point.y if chart.y.log and low <= 0 else low,
        "high": high,
        "erring": low < high,
        "label": point.label,
        "hover": point.hover or f"{series.name}: {point.x:,.4g}, {point.y:,.4g}",
        "flagged": point.flagged,
        "colour": look.colour,
        "shape": look.shape,
        "dash": DASHES[series.stroke],
        "opacity": 1 if series.marker else 0,  # its points are not seen, but hovered over
    }


def _axis(axis: Axis, values: Sequence[float], of_points: bool = False) -> dict:
    """The scale and the ticks of an axis for values; one of powers may have them where its points are."""
    import altair as alt

    if axis.log:
        places = sorted(set(values))
        ticks = places if of_points and len(places) <= TICKS else _log_ticks(values)
        scale, shown = alt.Scale(type="log", nice=False, padding=14), {"values": ticks} if ticks else {}
    else:
        scale, shown = alt.Scale(zero=axis.from_zero, nice=True), {"tickCount": 6}
    return {"title": axis.heading, "scale": scale, "axis": alt.Axis(format=NUMBER, **APART, **shown)}


def _log_ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times each power of ten among the values; only the powers where that were too many."""
    if not values:
        return []
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    for steps in ((1, 2, 5), (1,)):
        ticks = [float(f"{step}e{power}") for power in powers for step in steps]
        shown = [tick for tick in ticks if 0.8 * min(values) <= tick <= 1.25 * max(values)]
        if len(shown) <= TICKS:
            break
    return shown if len(shown) > 1 else []


def _legend(entries: list[LegendEntry], place: Place):
    """A legend of its own: a layer without data."""
    import altair as alt

    names = [entry.name for entry in entries]
    longest = max(map(len, names), default=0)
    look = alt.Legend(
        title=None,
        orient="bottom",
        symbolOffset=9,
        labelOffset=14,
        columns=max(1, min(4, place.characters // (longest + 8))),
    )

    def scale(values: list[str]) -> dict:
        return {"scale": alt.Scale(domain=names, range=values), "legend": look}

    return (
        alt.Chart(alt.Data(values=[]))
        .mark_point()
        .encode(
            stroke=alt.Stroke("name:N", **scale([entry.colour for entry in entries])),
            fill=alt.Fill("name:N", **scale(["transparent" if entry.open else entry.colour for entry in entries])),
            shape=alt.Shape("name:N", **scale([entry.path for entry in entries])),
        )
    )


def strip(chart: Strip, place: Place, data: Datasets):
    """A row for each configuration: its texts, and below them its samples, their mean and its interval."""
    import altair as alt

    texts, text_px = _texts(chart.rows, place, data)
    middle = text_px / 2
    across = alt.X("value:Q", **_axis(chart.axis, [sample.value for row in chart.rows for sample in row.samples]))
    place_y = _row_place()
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
    samples = _visible(dots, data).mark_point(filled=True, size=75, opacity=0.65, yOffset=middle)
    *intervals, mean = _means(chart, data, middle, across, place_y)
    dots_layer = samples.encode(x=across, y=place_y, color=colour, shape=shape, tooltip=alt.Tooltip("hover:N"))
    layers = [*intervals, dots_layer, mean]  # an interval hides no sample that is hovered over
    if chart.reference is not None:
        here = [{"id": number, "value": chart.reference} for number in range(len(chart.rows))]
        mark = _visible(here, data).mark_tick(size=MARKS_PX, thickness=1.5, color=MUTED, opacity=1, yOffset=middle)
        layers.insert(0, mark.encode(x=across, y=place_y))
    return _rows(layers + texts, text_px, place)


def _means(chart: Strip, data: Datasets, middle: float, across, place_y) -> list:
    """Each row's mean as a stroke, and its interval as a line with two ends."""
    import altair as alt

    means = [
        {"id": number, "value": row.mean, "low": row.low, "high": row.high, "hover": _mean_hover(row, chart.axis.unit)}
        for number, row in enumerate(chart.rows)
    ]
    every = _visible(means, data)
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
    shares = {"scale": alt.Scale(domain=[0, 1]), "axis": alt.Axis(format=".0%", **APART, tickCount=5)}
    return _rows(_bar_layers(_visible(parts, data), "share of the whole", shares, text_px / 2) + texts, text_px, place)


def _timed_bar(row: BarRow, number: int, colours: dict[str, str | None], place: Place, data: Datasets):
    """One bar over the time of its parts, under its heading, over a legend that has their numbers."""
    import altair as alt

    whole_ms = 1e3 * sum(seconds for _, seconds in row.parts)
    parts = _parts(row, number, colours, whole_ms)
    scale = alt.Scale(domain=[0, whole_ms or 1], nice=False)
    times = {"scale": scale, "axis": alt.Axis(format=NUMBER, grid=False, tickCount=8)}
    shown = [part_entry(part["numbers"], colours[part["name"]], []) for part in parts]
    layers = [*_bar_layers(_visible(parts, data), "ms", times, 0), _legend(shown, place)]
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

    return alt.LayerChart(layer=layers, height=alt.Step(text_px + MARKS_PX), **_width(place))


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
    mark = _visible(lines, data).mark_text(align=side, baseline="line-top", fontSize=12.5, **look)
    edge = alt.value(0 if side == "left" else "width")
    return mark.encode(x=edge, y=_row_place(), text=alt.Text("text:N"), color=alt.Color("colour:N", scale=None))


def _visible(records: list[dict], data: Datasets):
    """A chart of records, which `data` gets, of which only those are drawn that the parameter `shown` has."""
    import altair as alt

    name = f"data-{len(data)}"
    data[name] = records
    return alt.Chart(alt.NamedData(name=name)).transform_filter(SHOWN)


def _width(place: Place) -> dict:
    return {"width": place.width_px or "container"}


def title(title: str, subtitle: str, place: Place):
    import altair as alt

    return alt.TitleParams(textwrap.wrap(title, 80) or [""], subtitle=textwrap.wrap(subtitle, place.characters))
