"""The legend of a chart: what its colours, markers and lines mean. A page and a document show the same entries."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from . import palette
from .chart import Bars, Chart, Lines, Row, Series, Strip

INK, MUTED = "var(--ink)", "var(--muted)"
SHAPES = {  # a marker: its sign in the page's legend, and its path in a document's
    "circle": ("●", "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z"),
    "square": ("■", "M-0.9,-0.9H0.9V0.9H-0.9Z"),
    "diamond": ("◆", "M0,-1.2L1.2,0L0,1.2L-1.2,0Z"),
    "triangle-up": ("▲", "M0,-1.1L1.1,0.9H-1.1Z"),
    "cross": ("✚", "M-0.4,-1.1H0.4V-0.4H1.1V0.4H0.4V1.1H-0.4V0.4H-1.1V-0.4H-0.4Z"),
    "triangle-down": ("▼", "M0,1.1L1.1,-0.9H-1.1Z"),
    "triangle-right": ("▶", "M1.1,0L-0.9,1.1V-1.1Z"),
    "triangle-left": ("◀", "M-1.1,0L0.9,1.1V-1.1Z"),
}
STROKES = {  # a line: the same
    "solid": ("━", "M-2.8,0H2.8"),
    "dashed": ("-", "M-2.8,0H-1.6M-0.7,0H0.7M1.6,0H2.8"),
    "none": ("", ""),
    "dotted": ("·", "M-2.8,0h0.4M-1.8,0h0.4M-0.8,0h0.4M0.4,0h0.4M1.4,0h0.4M2.4,0h0.4"),
}
MARKERS = tuple(SHAPES)


class LegendEntry(NamedTuple):
    """One entry of a legend: `sign` on a page, `path` in a document; an open one is not filled."""

    name: str
    colour: str
    sign: str
    path: str
    keys: list[Hashable]
    open: bool = False


def legend(chart: Chart) -> list[LegendEntry]:
    """What its marks mean: the series, or the parts of bars; a strip's rows say what they are."""
    if isinstance(chart, Strip):
        return []
    if isinstance(chart, Bars):
        return [
            part_entry(name, colour, _keys(row for row in chart.rows if name in dict(row.parts)))
            for name, colour in part_colours(chart).items()
        ]
    by_name: dict[str, list[tuple[Series, Look]]] = {}
    for series, look in zip(chart.series, series_looks(chart), strict=True):
        by_name.setdefault(series.name, []).append((series, look))
    measured_first = sorted(by_name.items(), key=lambda item: not item[1][0][0].marker)
    entries = [_entry(name, group) for name, group in measured_first]
    if flagged := [series for series in chart.series if any(point.flagged for point in series.points)]:
        entries.append(LegendEntry(f"open: {chart.flag}", INK, "○", SHAPES["circle"][1], _keys(flagged), open=True))
    return entries


def _entry(name: str, group: list[tuple[Series, Look]]) -> LegendEntry:
    """The entry of all series of a name; it is in no series' colour where theirs differ."""
    series, look = group[0]
    colour = look.colour if len({member.colour for _, member in group}) == 1 else INK
    (line_sign, line), (sign, marker) = STROKES[series.stroke], SHAPES[look.shape] if series.marker else ("", "")
    middle = sign or line_sign
    shown = middle if series.stroke in ("solid", "none") else f"{line_sign} {middle} {line_sign}"
    return LegendEntry(name, colour, shown, line + marker, _keys(member for member, _ in group))


def part_entry(name: str, colour: str | None, keys: list[Hashable]) -> LegendEntry:
    sign, path = ("■" if colour else "□"), SHAPES["square"][1]
    return LegendEntry(name, colour or MUTED, sign, path, keys, open=not colour)


def _keys(members: Iterable[Series | Row]) -> list[Hashable]:
    return sorted({key for member in members for key in member.keys})


class Look(NamedTuple):
    """A series' colour and its marker's shape."""

    colour: str
    shape: str


def series_looks(chart: Lines) -> list[Look]:
    """A colour and a shape for each group; where the colours begin again, the shapes do not.

    A line without markers and without a group is no series' own: it is in the colour of the text.
    """
    names = [series.colour or (series.name if series.marker else None) for series in chart.series]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(filter(None, names)))}
    steps = palette.steps(len(numbers)) if chart.ordered and len(numbers) <= len(palette.STEPS) else None
    return [Look(INK, MARKERS[0]) if group is None else _look(numbers[group], steps) for group in names]


def _look(number: int, steps: list[str] | None) -> Look:
    if steps is not None:
        return Look(steps[number], MARKERS[number % len(MARKERS)])
    turn, colour = divmod(number, len(palette.SERIES))
    return Look(palette.SERIES[colour], MARKERS[(colour + turn) % len(MARKERS)])


def part_colours(chart: Bars) -> dict[str, str | None]:
    """Part → its colour; None of one that is idle."""
    working = [name for name in chart.names if name not in chart.idle]
    colours = {name: palette.SERIES[n % len(palette.SERIES)] for n, name in enumerate(working)}
    return {name: colours.get(name) for name in chart.names}
