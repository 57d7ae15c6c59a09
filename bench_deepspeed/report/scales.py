"""The scale of an axis: its ends and its ticks, so that what is placed on it is known before it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .chart import Axis

TICKS = 12
"""So many ticks of a scale of powers at most."""
PADDING_PX = 26
"""Free at both ends of a scale of powers."""
LINEAR_TICKS = 6


@dataclass(frozen=True)
class Scale:
    """From `low` to `high`. `ticks` are where it has them; none: where the drawing library has them."""

    low: float
    high: float
    ticks: list[float]
    log: bool = False

    def place(self, value: float, length_px: float) -> float:
        """Where a value is, in px from the lower end of an axis of that length."""
        if not self.log:
            return (value - self.low) / (self.high - self.low) * length_px
        span = math.log(self.high / self.low) or 1.0
        return PADDING_PX + math.log(value / self.low) / span * (length_px - 2 * PADDING_PX)


def scale_of(axis: Axis, values: Sequence[float], of_points: bool = False) -> Scale:
    """The scale of an axis that holds the values; one of powers may have its ticks where its points are."""
    if not axis.log:
        return _linear(values, axis.from_zero)
    places = sorted(set(values))
    ticks = places if of_points and len(places) <= TICKS else _powers(values)
    return Scale(min(values, default=1.0), max(values, default=1.0), ticks, log=True)


def _linear(values: Sequence[float], from_zero: bool) -> Scale:
    """Ends and ticks at multiples of 1, 2 or 5 times a power of ten."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    power = 10.0 ** math.floor(math.log10((high - low) / LINEAR_TICKS))
    step = next(power * n for n in (1, 2, 5, 10) if power * n * LINEAR_TICKS >= high - low)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [float(f"{n * step:.12g}") for n in range(first, last + 1)]
    return Scale(ticks[0], ticks[-1], ticks)


def _powers(values: Sequence[float]) -> list[float]:
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
