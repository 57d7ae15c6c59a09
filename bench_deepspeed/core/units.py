"""Numbers with their units as text: one formatter of each unit, for every table, log line and document."""

from __future__ import annotations

import math
from collections.abc import Callable

from .text import NOT_MEASURED


def gigabytes(size: float | None) -> str:
    """Bytes as "13.96 GB", below 0.1 GB as "12.34 MB"; none as "nothing"."""
    if size is None:
        return NOT_MEASURED
    if size == 0:
        return "nothing"
    return f"{size / 1e9:,.2f} GB" if abs(size) >= 1e8 else f"{size / 1e6:,.2f} MB"


def milliseconds(seconds: float | None) -> str:
    """Seconds as "12.34 ms"."""
    return NOT_MEASURED if seconds is None else f"{1e3 * seconds:,.2f} ms"


def seconds(value: float | None) -> str:
    """Seconds as "12.3 s": for what takes long, such as loading."""
    return NOT_MEASURED if value is None else f"{value:,.1f} s"


def duration(seconds: float) -> str:
    """A time to wait as "80 s", "5 min" or "2.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def percent(share: float | None) -> str:
    """A share of 1 as "58%", one below half a percent as "<1%"."""
    if share is None:
        return NOT_MEASURED
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def change(value: float) -> str:
    """A relative change in percent with its sign, such as "+0.3%"; what rounds to nothing is "+0.0%"."""
    return f"{round(value, 3) + 0.0:+.1%}"


def number(value: float | None, digits: int = 2) -> str:
    """A number with that many digits behind the point."""
    return NOT_MEASURED if value is None else f"{value:,.{digits}f}"


def to_digits(value: float, digits: int) -> str:
    """A number with so many digits that count: of two, "3.2", "330", "0.0042"."""
    rounded = float(f"{value:.{digits - 1}e}")
    return f"{rounded:,.{max(0, digits - 1 - _exponent(rounded))}f}"


def to_error(value: float, error: float) -> str:
    """A number down to the first digit of its error: 3.18 with 0.04, 330 with 20."""
    if error <= 0:
        return f"{value:,.{2}f}"
    place = _exponent(error)
    return f"{round(value, -place):,.{max(0, -place)}f}"


def _exponent(value: float) -> int:
    """The power of ten of its first digit."""
    return math.floor(math.log10(abs(value))) if value else 0


def _whole(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def _price(value: float | None) -> str:
    return NOT_MEASURED if value is None else to_digits(value, 3)


def _scaled(scale: float, digits: int, unit: str, small: float = 0.0) -> Callable[[float | None], str]:
    """Values in a unit with so many digits behind the point; below `small` of it with two digits that count."""

    def show(value: float | None) -> str:
        if value is None:
            return NOT_MEASURED
        scaled = value / scale
        return f"{to_digits(scaled, 2) if 0 < scaled < small else f'{scaled:,.{digits}f}'} {unit}"

    return show


FORMATTERS: dict[str, Callable[..., str]] = {
    "": number,
    "count": _whole,
    "tokens/s": number,
    "requests/s": number,
    "bytes": gigabytes,
    "s": milliseconds,
    "long s": seconds,
    "share": percent,
    "bytes/s": _scaled(1e9, 0, "GB/s", small=10),
    "FLOP/s": _scaled(1e12, 1, "TFLOP/s", small=1),
    "J/token": _scaled(1, 2, "J/token"),
    "W": _scaled(1, 0, "W"),
    "price": _price,
    "logits": _scaled(1, 3, "logits"),
    "times": _scaled(1, 2, "×"),
}
"""Unit → how a value of it is shown. "long s": seconds that are shown as such, not in ms."""

BARE = {"tokens/s", "requests/s"}
"""Units that are not shown with the value: a column of it has the unit in its title."""


def show(value: object, unit: str) -> str:
    """A value as text: by its unit where it is a number, "yes" or "no", else as it is. None is "not measured"."""
    if value is None:
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    return FORMATTERS[unit](value) if isinstance(value, int | float) else str(value)
