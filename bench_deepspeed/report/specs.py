"""What the descriptions of charts as Altair's share: places, axes, legends.

Each chart draws only the series or rows of which the parameter `shown` has the number.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from .chart import Axis
from .legend import LegendEntry
from .scales import PADDING_PX, Scale

LINE = "var(--line)"
SHOWN = "indexof(shown, datum.id) >= 0"
NUMBER = ",.12~g"  # so many digits that none is written as a power: 1,000,000, not 1e+06
APART = {"labelOverlap": "greedy", "labelSeparation": 6}
Datasets = dict[str, list[dict]]
"""The records of a chart's layers by name. They stay outside Altair's objects, which are copied at each step."""


@dataclass(frozen=True)
class Place:
    """Where a chart is drawn. `width_px`: None is as wide as the page gives. `characters`: of a line of text.

    `typical_px` is the width that labels are placed for.
    """

    width_px: int | None
    characters: int
    typical_px: int
    stacked: bool = False
    """A row's texts stand below one another."""

    @property
    def is_document(self) -> bool:
        """It has a title and a legend; a page writes them itself."""
        return self.width_px is not None


DOCUMENT = Place(width_px=760, characters=120, typical_px=760)
WIDE = Place(width_px=None, characters=80, typical_px=1080)
NARROW = Place(width_px=None, characters=44, typical_px=290, stacked=True)


def axis(axis: Axis, scale: Scale, grid: bool = True) -> dict:
    """Title, scale and ticks of an axis."""
    import altair as alt

    if scale.log:
        drawn, shown = alt.Scale(type="log", nice=False, padding=PADDING_PX), {}
    else:
        drawn, shown = alt.Scale(domain=[scale.low, scale.high], nice=False), {}
    if scale.ticks:
        shown = {"values": scale.ticks}
    return {"title": axis.heading, "scale": drawn, "axis": alt.Axis(format=NUMBER, grid=grid, **APART, **shown)}


def legend_layer(entries: list[LegendEntry], place: Place):
    """A legend of its own: a layer without data."""
    import altair as alt

    names = [entry.name for entry in entries]
    longest = max(map(len, names), default=0)
    look = alt.Legend(
        title=None,
        orient="bottom",
        symbolOffset=9,
        labelOffset=14,
        columns=max(1, min(4, place.characters // (longest + 14))),
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


def visible(records: list[dict], data: Datasets):
    """A chart of records, which `data` gets, of which only those are drawn that the parameter `shown` has."""
    import altair as alt

    name = f"data-{len(data)}"
    data[name] = records
    return alt.Chart(alt.NamedData(name=name)).transform_filter(SHOWN)


def width(place: Place) -> dict:
    return {"width": place.width_px or "container"}


def title(title: str, subtitle: str, place: Place):
    import altair as alt

    return alt.TitleParams(textwrap.wrap(title, 80) or [""], subtitle=textwrap.wrap(subtitle, place.characters))
