"""Descriptions of charts: what each shows, not how it is drawn. `vega` draws them for documents and for the page.

`keys` are those that the page's filter knows a series or a row by: it is shown while one of them is.
`colour` names a group: what has the same group has the same colour; None is a group of its own.
Texts are plain: they may hold any character, and are escaped where they are drawn.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

Keys = tuple[Hashable, ...]
"""What the page's filter knows a series or a row by."""


@dataclass(frozen=True)
class Axis:
    """One axis. `unit` is that of its values, "" where there is none."""

    title: str
    unit: str = ""
    log: bool = False
    from_zero: bool = False

    @property
    def heading(self) -> str:
        """Its title with its unit."""
        return ", ".join(filter(None, [self.title, self.unit]))


@dataclass(frozen=True)
class Point:
    """One point of a series, in the units of the axes.

    `interval`: the ends of the bar through it. `label` stands next to it, `hover` is shown on hovering.
    `flagged`: it carries a remark, and its marker is open.
    """

    x: float
    y: float
    interval: tuple[float, float] | None = None
    label: str = ""
    hover: str = ""
    flagged: bool = False


@dataclass(frozen=True)
class Series:
    """A line through points, in their order; "none": the points alone."""

    name: str
    points: tuple[Point, ...]
    keys: Keys
    stroke: Literal["solid", "dashed", "dotted", "none"] = "solid"
    marker: bool = True
    colour: str | None = None


class Keyed:
    """What has `members`, each with keys: the series or the rows of a chart."""

    members: tuple[Series | Row, ...]

    @property
    def keys(self) -> list[Hashable]:
        """The keys of all members."""
        return sorted({key for member in self.members for key in member.keys})


@dataclass(frozen=True)
class Lines(Keyed):
    """Curves on two axes. Raises ValueError when a value is not above 0 on an axis of powers.

    `flag`: what an open marker means. `says` stands for the chart where it cannot be seen. `ordered`: the groups of
    series are of a quantity that grows, such as batch sizes, and so do their colours.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    says: str
    subtitle: str = ""
    flag: str = "the table has a remark on it"
    ordered: bool = False

    def __post_init__(self):
        for axis, values in ((self.x, (p.x for p in self.points)), (self.y, (p.y for p in self.points))):
            if axis.log and any(value <= 0 for value in values):
                raise ValueError(f"{axis.title} has a value that is not above 0 on an axis of powers")

    @property
    def points(self) -> list[Point]:
        """The points of all series."""
        return [point for series in self.series for point in series.points]

    @property
    def members(self) -> tuple[Series, ...]:
        return self.series


@dataclass(frozen=True, kw_only=True)
class Row:
    """The texts of a row: what it is (`label`, `note`), its result (`value`, `aside`), and its warnings."""

    label: str
    keys: Keys
    note: str = ""
    value: str = ""
    aside: str = ""
    warnings: str = ""


@dataclass(frozen=True)
class Dot:
    """One sample, in the unit of the axis. `process` counts from 0 and decides its symbol."""

    value: float
    process: int = 0
    hover: str = ""


@dataclass(frozen=True, kw_only=True)
class StripRow(Row):
    """Samples as dots, their mean as a stroke, and its 95% interval; `low` and `high` are None without one."""

    samples: tuple[Dot, ...]
    mean: float
    low: float | None = None
    high: float | None = None
    colour: str | None = None


@dataclass(frozen=True)
class Strip(Keyed):
    """A row of dots for each configuration. `reference`: the value that a line marks, such as 1 of ratios."""

    title: str
    axis: Axis
    rows: tuple[StripRow, ...]
    says: str
    subtitle: str = ""
    reference: float | None = None

    @property
    def members(self) -> tuple[Row, ...]:
        return self.rows


@dataclass(frozen=True, kw_only=True)
class BarRow(Row):
    """A bar of parts in their order: (name, seconds). Its whole is their sum."""

    parts: tuple[tuple[str, float], ...]

    @property
    def shares(self) -> list[tuple[str, float, float]]:
        """(name, seconds, share of the whole) of each part; the shares are 0 where the whole is."""
        whole = sum(seconds for _, seconds in self.parts)
        return [(name, seconds, seconds / whole if whole > 0 else 0.0) for name, seconds in self.parts]


@dataclass(frozen=True)
class Bars(Keyed):
    """A bar for each configuration, of parts that have the same colour in each.

    `idle`: the parts in which nothing works, each drawn as an empty frame.
    """

    title: str
    rows: tuple[BarRow, ...]
    says: str
    subtitle: str = ""
    idle: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The parts' names, each once, in the order in which they come."""
        return list(dict.fromkeys(name for row in self.rows for name, _ in row.parts))

    @property
    def members(self) -> tuple[Row, ...]:
        return self.rows


Chart = Lines | Strip | Bars
