"""Percentiles with distribution-free 95% intervals, withheld where there are too few values. Pure functions."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .distributions import LEVEL
from .statistics import effective_size, middle_ranks

TAIL = (1 - LEVEL) / 2


@dataclass(frozen=True)
class Percentile:
    """A percentile of `n` values, which are worth `worth` independent ones, where `needed` of these are needed.

    `value`, `low` and `high` are in the unit of the values and may be infinite; None where it is not measured.
    """

    n: int
    worth: int
    needed: int
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def shortfall(self) -> str | None:
        """Why it is not measured, in words; None where it is."""
        return None if self.value is not None else f"{self.worth} of {self.needed}"


def percentiles(values: Sequence[float], percents: Iterable[float]) -> dict[float, Percentile]:
    """Percentiles of values in their order of time, with 95% intervals of order statistics; values may be infinite.

    A value interpolates between the two nearest ranks, as NumPy does by default. Of n independent values, the one of
    rank l and the one of rank u hold the percentile of share p between them with the probability P(l ≤ B < u), where B
    is binomial (n, p), whatever the distribution (W. Thompson, "On Confidence Ranges for the Median", Annals of
    Mathematical Statistics 7, 1936; H. David and H. Nagaraja, "Order Statistics", 2003, section 7.1). l and u leave at
    most 2.5% on either side; where there are none, the percentile is not measured.

    Latencies that follow one another are alike, so there are fewer independent values than values: as many as the
    effective size of their ranks, or of the series "at most the percentile" where that is smaller. Ranks, since values
    may be infinite; the second, since a tail comes in bursts where the middle does not.
    """
    ordered = sorted(values)
    worth = effective_size(middle_ranks(list(values)))
    found = {}
    for percent in percents:
        point = _interpolated(ordered, percent / 100) if ordered else math.nan
        tail = effective_size([float(value <= point) for value in values])
        found[percent] = of_worth(ordered, percent, math.floor(min(worth, tail)))
    return found


def of_worth(ordered: Sequence[float], percent: float, worth: int) -> Percentile:
    """A percentile of n ordered values that are worth so many independent ones, n at most.

    The ranks are those of so many values, spread over all n: ⌊(l − 1) n ∕ worth⌋ + 1 and ⌈u n ∕ worth⌉.
    """
    n, share = len(ordered), percent / 100
    between = ranks(worth, share)
    if between is None:
        return Percentile(n, worth, needed(percent))
    low, high = math.floor((between[0] - 1) * n / worth), min(math.ceil(between[1] * n / worth), n) - 1
    return Percentile(n, worth, needed(percent), _interpolated(ordered, share), ordered[low], ordered[high])


def needed(percent: float) -> int:
    """How many independent values a percentile's two-sided 95% interval needs: 368 for the 99th.

    The largest of them is above the percentile, or the smallest below it, but for a probability of 2.5% at most:
    max(p, 1 − p)ⁿ ≤ 0.025.
    """
    share = percent / 100
    return math.ceil(math.log(TAIL) / math.log(max(share, 1 - share)))


@functools.lru_cache(maxsize=1000)
def ranks(n: int, share: float) -> tuple[int, int] | None:
    """The ranks, from 1, of the interval of a percentile of n independent values; None where they are too few."""
    below, low = 0.0, 0
    for k in range(n):  # P(B ≤ k)
        log_ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        below += math.exp(log_ways + k * math.log(share) + (n - k) * math.log1p(-share))
        if below <= TAIL:
            low = k + 1
        elif below >= 1 - TAIL:
            return (low, k + 1) if low else None
    return None


def _interpolated(ordered: Sequence[float], share: float) -> float:
    """NumPy's default for ordered values, which may be infinite."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    part = position - below
    if part == 0 or ordered[below] == ordered[below + 1]:
        return ordered[below]
    return ordered[below] + part * (ordered[below + 1] - ordered[below])
