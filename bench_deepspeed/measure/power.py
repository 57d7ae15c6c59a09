"""Power: which difference of two speeds a comparison can show, and how many pairs of processes it takes to show one.

A difference is a ratio of tokens/s, and everything here is of its logarithm: twice and half as fast are equally far
from 1. Standard library only: `--dry_run` runs before anything is installed.
"""

from __future__ import annotations

import bisect
import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

from .distributions import LEVEL, student_quantile

POWER = 0.8
"""Share of comparisons that show the difference which is called detectable (J. Cohen, "Statistical Power Analysis for
the Behavioral Sciences", 1988)."""
MIN_PAIRS = 3
STEPS, PRECISION = 200, 1e-7
"""Intervals of the numerical integral, and where its inverse stops: errors far below any digit that is shown."""


@dataclass(frozen=True)
class Detectable:
    """The smallest difference that a comparison shows in 80% of its repeats; `log` is that of the ratio, 0 or more."""

    log: float

    @property
    def ratio(self) -> float:
        """The ratio above 1; that below 1 is its inverse."""
        return math.exp(self.log)

    @property
    def shown(self) -> str:
        """ "9.3% faster or 8.5% slower"."""
        return f"{_percent(self.ratio - 1)} faster or {_percent(1 - 1 / self.ratio)} slower"


def detectable(standard_error: float, degrees: float) -> Detectable:
    """What a two-sided t-test at 5% shows with 80% power, with this standard error of the log ratio: δ · error.

    `degrees` are those of Student's distribution; δ is `noncentrality`. For n values of standard deviation s the error
    is s ∕ √n with n - 1 degrees. The formula is exact for a known s; with the s of a few values it scatters as that
    does: from three values it can come out at 16% or at 192% of its true value (χ² with 2 degrees).
    """
    return Detectable(noncentrality(degrees) * standard_error)


def detectable_of(half_width: float, degrees: float) -> Detectable:
    """The same, from the half width of the log ratio's 95% interval, which is t(0.975; degrees) standard errors."""
    return detectable(half_width / critical(degrees), degrees)


def pairs_to_detect(deviation: float, log: float, most: int) -> int | None:
    """The fewest pairs, 3 or more, whose detectable difference is `log` at most; None where `most` are too few.

    `deviation` is the standard deviation of the pairs' log ratios.
    """
    counts = range(MIN_PAIRS, most + 1)
    enough = bisect.bisect_left(counts, True, key=lambda n: detectable(deviation / math.sqrt(n), n - 1).log <= log)
    return counts[enough] if enough < len(counts) else None


@functools.cache
def noncentrality(degrees: float) -> float:
    """The δ at which |T'| exceeds t(0.975; degrees) with probability 0.8, for T' noncentral t with δ.

    Bisected. That T' is below -t is left out: there its probability is below 1e-6.
    """
    t = critical(degrees)
    low, high = 0.0, 10 * t
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if exceeds(t, degrees, middle) < POWER else (low, middle)
    return low


def exceeds(t: float, degrees: float, delta: float) -> float:
    """P(T' > t) of the noncentral t distribution: the mean of Φ(δ - t u) over u = √(χ² ∕ degrees).

    T' = (Z + δ) ∕ u (N. Johnson, S. Kotz and N. Balakrishnan, "Continuous Univariate Distributions", volume 2, 1995,
    chapter 31), integrated by Simpson's rule over where u lies with all but 1e-12 of its probability.
    """
    spread = 8 / math.sqrt(2 * degrees)
    start, end = max(0.0, 1 - spread), 1 + spread
    width = (end - start) / STEPS
    weights = (1, *([4, 2] * (STEPS // 2 - 1)), 4, 1)
    values = ((start + k * width) for k in range(STEPS + 1))
    total = (w * _density(u, degrees) * _NORMAL.cdf(delta - t * u) for w, u in zip(weights, values, strict=True))
    return math.fsum(total) * width / 3


def critical(degrees: float) -> float:
    """t(0.975; degrees); SciPy is imported for a number of degrees that is not whole."""
    if degrees == int(degrees):
        return student_quantile(int(degrees))
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + LEVEL) / 2))


_NORMAL = NormalDist()


def _density(u: float, degrees: float) -> float:
    """Of √(χ² ∕ degrees) at u."""
    if u == 0:
        return math.sqrt(2 / math.pi) if degrees == 1 else 0.0
    half = degrees / 2
    log = math.log(2) + half * math.log(half) - math.lgamma(half) + (degrees - 1) * math.log(u) - half * u * u
    return math.exp(log)


def _percent(share: float) -> str:
    """Two digits or more: "0.42%", "9.3%", "134%"."""
    digits = max(0, -1 - math.floor(math.log10(share))) if share > 0 else 0
    return f"{share:.{digits}%}"
