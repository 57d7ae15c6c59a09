"""Curves on two axes, as Altair's chart."""

from __future__ import annotations

from .chart import Lines, Series
from .label_places import offsets
from .legend import Look, legend, series_looks
from .scales import Scale, scale_of
from .specs import Datasets, Place, axis, legend_layer, visible, width

DASHES = {"solid": [1, 0], "dashed": [7, 4], "dotted": [2, 3], "none": [1, 0]}
CURVES_PX, CAP_PX = 380, 9
BAR_STEP_PX, MOST_PX = 6.0, 22.0
"""Between the error bars of two series at the same place, and from the place to the last of them."""


def lines(chart: Lines, place: Place, data: Datasets):
    """Curves through points: error bars, markers, labels; in a document a legend below."""
    import altair as alt

    points = _points(chart)
    x_scale = scale_of(chart.x, [point["x"] for point in points], of_points=True)
    y_scale = scale_of(chart.y, [point[end] for point in points for end in ("low", "high")])
    _place_labels(points, (x_scale, y_scale), (place.typical_px, CURVES_PX))
    x, y = alt.X("x:Q", **axis(chart.x, x_scale)), alt.Y("y:Q", **axis(chart.y, y_scale))
    base = visible(points, data)
    colour, moved = alt.Stroke("colour:N", scale=None), {"xOffset": alt.expr("datum.moved")}
    line = (
        base.transform_filter("datum.joined")
        .mark_line(strokeWidth=2.25, **moved)
        .encode(
            x=x,
            y=y,
            stroke=colour,
            strokeDash=alt.StrokeDash("dash:N", scale=None),
            detail=alt.Detail("id:N"),
            order=alt.Order("order:Q"),
        )
    )
    fill = alt.condition("datum.flagged", alt.value("transparent"), alt.Fill("colour:N", scale=None))
    shape, opacity = alt.Shape("shape:N", scale=None), alt.Opacity("opacity:Q", scale=None)
    markers = base.mark_point(size=70, strokeWidth=2, **moved).encode(
        x=x, y=y, stroke=colour, fill=fill, shape=shape, opacity=opacity, tooltip=alt.Tooltip("hover:N")
    )
    offset = {"align": "center", "baseline": "middle", "dx": alt.expr("datum.dx"), "dy": alt.expr("datum.dy")}
    labels = base.mark_text(**offset, fontWeight="bold", fontSize=12).encode(
        x=x, y=y, text=alt.Text("label:N"), color=alt.Color("colour:N", scale=None)
    )
    keyed = [legend_layer(legend(chart), place)] if place.is_document else []
    layers = [*_error_bars(base, x, chart.y.heading, moved), line, markers, labels, *keyed]
    return alt.LayerChart(layer=layers, height=CURVES_PX, **width(place))


def _points(chart: Lines) -> list[dict]:
    """The records of all points, in the order of their series."""
    looks, moved = series_looks(chart), _moved(chart)
    return [
        {**_point(number, order, chart, series, look), "moved": px}
        for number, (series, look, px) in enumerate(zip(chart.series, looks, moved, strict=True))
        for order in range(len(series.points))
    ]


def _moved(chart: Lines) -> list[float]:
    """By how many px each series is moved along the axis, so that no error bar hides another at the same place."""
    erring = [
        number for number, series in enumerate(chart.series) if series.marker and any(p.interval for p in series.points)
    ]
    places = [point.x for number in erring for point in chart.series[number].points]
    if len(set(places)) == len(places):
        return [0.0] * len(chart.series)
    step = min(BAR_STEP_PX, 2 * MOST_PX / max(len(erring) - 1, 1))
    middle = (len(erring) - 1) / 2
    return [step * (erring.index(n) - middle) if n in erring else 0.0 for n in range(len(chart.series))]


def _place_labels(points: list[dict], scales: tuple[Scale, Scale], size: tuple[int, int]) -> None:
    """Give each point the place of its label, as far as the width that the chart will have is known."""
    (x_scale, y_scale), (width_px, height_px) = scales, size

    def pixel(x: float, y: float) -> tuple[float, float]:
        return x_scale.place(x, width_px), height_px - y_scale.place(y, height_px)

    lines: dict[object, list[tuple[float, float]]] = {}
    for point in points:
        lines.setdefault(point["id"], []).append(pixel(point["x"], point["y"]))
        if point["erring"]:
            ends = [pixel(point["x"], point[end]) for end in ("low", "high")]
            caps = [[(across - CAP_PX / 2, down), (across + CAP_PX / 2, down)] for across, down in ends]
            lines |= {(len(lines), n): bar for n, bar in enumerate((ends, *caps))}
    labelled = [point for point in points if point["label"]]
    places = [(pixel(point["x"], point["y"]), point["label"]) for point in labelled]
    for point, (dx, dy) in zip(labelled, offsets(places, lines.values(), size), strict=True):
        point |= {"dx": dx, "dy": dy}


def _error_bars(base, x, heading: str, moved: dict) -> list:
    """A bar and its ends, of the points that have an interval."""
    import altair as alt

    erring = base.transform_filter("datum.erring")
    look = {"x": x, "color": alt.Color("colour:N", scale=None)}
    ends = [
        erring.mark_tick(size=CAP_PX, thickness=1.75, opacity=1, orient="horizontal", **moved).encode(
            y=alt.Y(f"{end}:Q", title=heading), **look
        )
        for end in ("low", "high")
    ]
    ys = {"y": alt.Y("low:Q", title=heading), "y2": alt.Y2("high:Q")}
    return [erring.mark_rule(strokeWidth=1.75, **moved).encode(**ys, **look), *ends]


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
        "dx": 0.0,
        "dy": 0.0,
        "label": point.label,
        "hover": point.hover or f"{series.name}: {point.x:,.4g}, {point.y:,.4g}",
        "flagged": point.flagged,
        "colour": look.colour,
        "shape": look.shape,
        "dash": DASHES[series.stroke],
        "joined": series.stroke != "none",
        "opacity": 1 if series.marker else 0,  # its points are not seen, but hovered over
    }
