"""The definition of a metric: everything that tables, flat files, documents, `compare` and the glossary show of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from bench_deepspeed.core import units
from bench_deepspeed.core.text import NO_INTERVAL

Row = TypeVar("Row")
Value = float | int | bool | str | None
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Metric(Generic[Row]):
    """One metric of a row: a result, a scenario of a sweep, a level of a load test, one precision of a quality check.

    `name` is its column in flat files, with the unit as its suffix; `title` its name in tables; `unit` one of
    `units.FORMATTERS`; `meaning` a phrase for the glossary. `value` returns None for what was not measured.
    """

    name: str
    title: str
    unit: str
    meaning: str
    value: Callable[[Row], Value]
    better: Literal["higher", "lower"] | None = None
    """Which direction is better; None: neither, and `compare` makes no ratio of it."""
    comparable_by: Callable[[Row], object] = lambda _row: None
    """Values have a ratio only where this is equal in both rows: the method that they were measured with."""
    interval: Callable[[Row], Bounds | None] | None = None
    """The bounds of its 95% interval, for a metric that can have one."""
    interval_of: str = ""
    """What the interval is over, where that is not the processes."""
    remark: Callable[[Row], str | None] | None = None
    """What stands in brackets behind its value in tables: the method, or the source."""
    place: Literal["summary", "detail", "data"] = "detail"
    """"summary": a column of the table that compares rows; "detail": a line below it; "data": in flat files only."""
    in_files: bool = True
    """False: shown in tables, and made of other columns in flat files."""
    shown: Callable[[Row], str] | None = None
    """The cell of a table, where it is more than the value in its unit."""
    group: str = ""
    """The heading that it stands under where metrics are listed one below the other."""
    of: str = ""
    """Of a share: what it is a share of."""

    def __post_init__(self) -> None:
        if self.unit not in units.FORMATTERS:
            raise ValueError(f"the metric {self.name} has the unit {self.unit!r}, which core/units.py does not know")

    def cell(self, row: Row) -> str:
        """The value as text, with its interval and its remark."""
        if self.shown is not None:
            return self.shown(row)
        text = units.show(self.value(row), self.unit)
        if self.value(row) is None:
            return text
        if self.interval is not None:
            bounds = self.interval(row)
            between = ", ".join(units.show(bound, self.unit) for bound in bounds) if bounds else NO_INTERVAL
            text += f" [{between}]"
        remark = self.remark(row) if self.remark is not None else None
        return f"{text} ({remark})" if remark else text

    def line(self, row: Row) -> str:
        """The cell for a line of its own, which has no title of a column to say its unit, or what it is a share of."""
        suffix = self.of or (self.unit if self.unit in units.BARE else "")
        value = self.value(row)
        if value is None or not suffix:
            return self.cell(row)
        text = units.show(value, self.unit)
        return self.cell(row).replace(text, f"{text} {suffix}", 1)

    def ratio(self, first: Row, other: Row) -> float | None:
        """The other's value ∕ the first's; None where one was not measured, or not in the same way."""
        a, b = self.value(first), self.value(other)
        if self.better is None or self.comparable_by(first) != self.comparable_by(other):
            return None
        if not isinstance(a, int | float) or not isinstance(b, int | float):
            return None
        return b / a if a else None

    def columns(self) -> dict[str, str]:
        """Column → meaning, in flat files: the value and, where it has an interval, both of its ends."""
        if not self.in_files:
            return {}
        ends = ("low", "lower"), ("high", "upper")
        interval = f"its 95% interval{f', over {self.interval_of}' if self.interval_of else ''}"
        bounds = {f"{self.name.removesuffix('_mean')}_{end}": f"{word} end of {interval}" for end, word in ends}
        return {self.name: self.meaning, **(bounds if self.interval is not None else {})}

    def flat(self, row: Row) -> dict[str, Value]:
        """Column → value, in flat files."""
        if self.interval is None:
            values: tuple[Value, ...] = (self.value(row),)
        else:
            values = (self.value(row), *(self.interval(row) or (None, None)))
        return dict(zip(self.columns(), values, strict=False))


def cells(metrics: Iterable[Metric[Row]], row: Row, place: str) -> dict[str, str]:
    """Title → cell of the metrics at one place."""
    return {metric.title: metric.cell(row) for metric in metrics if metric.place == place}


def columns(metrics: Iterable[Metric[Row]]) -> dict[str, str]:
    """Column of flat files → its meaning."""
    return {name: meaning for metric in metrics for name, meaning in metric.columns().items()}


def flat(metrics: Iterable[Metric[Row]], row: Row) -> dict[str, Value]:
    """Column of flat files → its value."""
    return {name: value for metric in metrics for name, value in metric.flat(row).items()}
