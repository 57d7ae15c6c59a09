"""Statistics of repeated measurements. Pure functions; SciPy is imported where it is used, it takes its time."""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from dataclasses import dataclass

from .distributions import LEVEL, beta_cdf, central_student, student_quantile

OUTLIER_Z = 3.5
"""Iglewicz and Hoaglin's limit for a modified z-score."""
MIN_ORDERED = 5


@dataclass(frozen=True)
class Summary:
    """Of n values: mean, sample standard deviation (divisor n - 1; None for one value), median, range."""

    n: int
    mean: float
    std: float | None
    median: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Interval:
    """A mean over n groups with its 95% confidence interval; `low` and `high` are None for one group."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def relative(self) -> float | None:
        """The half width as a share of the mean."""
        return None if self.half_width is None else self.half_width / self.mean


@dataclass(frozen=True)
class Trend:
    """Spearman's rank correlation of a series with its index, and the two-sided p-value of no trend."""

    rho: float
    p: float


def summarize(values: list[float]) -> Summary | None:
    """Summarize the values; None when there are none, so that "not measured" stays visible."""
    if not values:
        return None
    return Summary(
        n=len(values),
        mean=statistics.fmean(values),
        std=statistics.stdev(values) if len(values) > 1 else None,
        median=statistics.median(values),
        minimum=min(values),
        maximum=max(values),
    )


def mean_interval(groups: list[list[float]]) -> Interval | None:
    """The mean of the groups' means m_1 … m_P, and its 95% confidence interval.

    mean ± t(0.975; P - 1) · s / √P, with s the sample standard deviation of the m_i. The group, which is a
    process, is the unit of replication: values within one share what that process drew (memory layout,
    clocks) and follow each other, so they are not independent, while two processes are (T. Kalibera and
    R. Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013). Empty groups are left out.
    """
    means = [statistics.fmean(group) for group in groups if group]
    if not means:
        return None
    mean = statistics.fmean(means)
    if len(means) == 1:
        return Interval(mean, None, None, 1)
    quantile = student_quantile(len(means) - 1)
    half_width = quantile * statistics.stdev(means) / len(means) ** 0.5
    return Interval(mean, mean - half_width, mean + half_width, len(means))


def effective_size(values: list[float]) -> float:
    """How many independent values would estimate the mean as well as these, which are autocorrelated.

    n ∕ τ with τ = 1 + 2 Σ ρ_k, at least 1 and at most n. ρ_k are the sample's autocorrelations, summed as
    Geyer's initial positive sequence: Γ_m = ρ_2m + ρ_2m+1 for as long as it is above zero, τ = 2 Σ Γ_m − 1
    (C. Geyer, "Practical Markov Chain Monte Carlo", Statistical Science 7, 1992). Of a short series the
    autocorrelations come out too low, and this too high.
    """
    n = len(values)
    if n < 4 or _constant(values):
        return float(n)
    mean = statistics.fmean(values)
    deviations = [value - mean for value in values]
    squares = sum(d * d for d in deviations)

    def rho(lag: int) -> float:
        return sum(a * b for a, b in zip(deviations, deviations[lag:], strict=False)) / squares

    tau = -1.0
    for lag in range(0, n - 1, 2):
        pair = rho(lag) + rho(lag + 1)
        if pair <= 0:
            break
        tau += 2 * pair
    return n / min(max(tau, 1.0), n)


def series_interval(values: list[float]) -> Interval | None:
    """The mean of one process's series and its 95% interval, its autocorrelation allowed for.

    mean ± t(0.975; m - 1) · s / √m, with s the sample standard deviation and m the effective size. It holds
    for this process: what another would differ by is not in it.
    """
    from scipy.special import stdtrit

    if not values:
        return None
    mean, m = statistics.fmean(values), effective_size(values)
    if m < 2:
        return Interval(mean, None, None, len(values))
    half_width = float(stdtrit(m - 1, (1 + LEVEL) / 2)) * statistics.stdev(values) / m**0.5
    return Interval(mean, mean - half_width, mean + half_width, len(values))


def share_interval(share: float, worth: int) -> tuple[float, float]:
    """The 95% interval of a share of requests that are worth so many independent ones: that of Clopper and Pearson.

    With n = worth and k = share × n, which need not be whole, its ends are quantiles of beta distributions: 2.5% of
    (k, n − k + 1) and 97.5% of (k + 1, n − k) (C. Clopper and E. Pearson, Biometrika 26, 1934; with an effective n:
    E. Korn and B. Graubard, Survey Methodology 24, 1998).
    """
    from scipy.special import betaincinv

    tail, met = (1 - LEVEL) / 2, share * worth
    low = float(betaincinv(met, worth - met + 1, tail)) if met > 0 else 0.0
    high = float(betaincinv(met + 1, worth - met, 1 - tail)) if met < worth else 1.0
    return low, high


def trend(values: list[float]) -> Trend | None:
    """Whether the values rise or fall with their index (C. Spearman, 1904); None where it is not defined.

    p is from Student's t with n - 2 degrees of freedom, which is rough for fewer than ten values.
    """
    if len(values) < 3 or _constant(values):
        return None
    rho = statistics.correlation(range(len(values)), middle_ranks(values))
    return Trend(rho, correlation_p(rho, len(values)))


def correlation_p(r: float, n: int) -> float:
    """The two-sided p-value of no correlation, for Pearson's r of n pairs, 3 or more (R. A. Fisher, 1915).

    t = r √((n - 2) ∕ (1 - r²)) has Student's distribution with n - 2 degrees of freedom; with t = √(n - 2) · tan θ,
    sin θ is r. Like SciPy's, without the second that `scipy.stats` takes to import and each command would wait for.
    """
    return max(0.0, 1 - central_student(math.asin(min(1.0, abs(r))), n - 2))


def neighbours_alike_p(values: list[float]) -> float | None:
    """The p-value of values in no order against ones whose neighbours are alike, as where they rise, fall or wander.

    The rank version of von Neumann's ratio, Σ (R_i − R_i+1)² ∕ Σ (R_i − R̄)², which is small then; a fourth of it is
    approximately beta distributed (R. Bartels, "The Rank Version of von Neumann's Ratio Test for Randomness", JASA 77,
    1982). None for fewer than five values, which are in too few orders, and for equal ones.
    """
    n = len(values)
    if n < MIN_ORDERED or _constant(values):
        return None
    ranks = middle_ranks(values)
    middle = statistics.fmean(ranks)
    ratio = math.fsum((a - b) ** 2 for a, b in itertools.pairwise(ranks)) / math.fsum((r - middle) ** 2 for r in ranks)
    shape = 5 * n * (n + 1) * (n - 1) ** 2 / (2 * (n - 2) * (5 * n * n - 2 * n - 9)) - 0.5
    return beta_cdf(ratio / 4, shape, shape)


def middle_ranks(values: list[float]) -> list[float]:
    """The rank of each value, the mean of theirs where several are equal."""
    ordered = sorted(values)
    return [(bisect.bisect_left(ordered, value) + bisect.bisect_right(ordered, value) + 1) / 2 for value in values]


def combined_p(p_values: list[float]) -> float:
    """The p-value of k independent ones together, by Fisher's method (R. A. Fisher, 1932); each above zero.

    -2 Σ ln p has the χ² distribution with 2 k degrees of freedom, whose upper tail is a finite sum for an even number
    (M. Abramowitz and I. Stegun, "Handbook of Mathematical Functions", 1964, 26.4.21).
    """
    half = -sum(map(math.log, p_values))
    if half == 0:
        return 1.0
    return math.fsum(math.exp(k * math.log(half) - half - math.lgamma(k + 1)) for k in range(len(p_values)))


def outliers(values: list[float], limit: float = OUTLIER_Z) -> list[int]:
    """The indices of values whose modified z-score 0.6745 (x_i - median) / MAD exceeds the limit in size.

    MAD is the median of |x_i - median| (B. Iglewicz and D. Hoaglin, "How to Detect and Handle Outliers",
    1993). Where more than half of the values are equal, MAD is zero and the score is not defined: none.
    """
    if not values:
        return []
    median = statistics.median(values)
    mad = statistics.median(abs(value - median) for value in values)
    if mad == 0:
        return []
    return [i for i, value in enumerate(values) if abs(0.6745 * (value - median) / mad) > limit]


def bimodality(values: list[float]) -> float | None:
    """The p-value of one mode only, by the dip test (J. and P. Hartigan, 1985); small means two or more.

    None for fewer than four values, for which the test is not defined, and for equal ones.
    """
    if len(values) < 4 or _constant(values):
        return None
    import diptest
    import numpy

    _, p = diptest.diptest(numpy.asarray(values, dtype=float))
    return float(p)


def percentile(values: list[float], percent: float) -> float:
    """NumPy's default: linear interpolation between the two nearest ranks."""
    import numpy

    return float(numpy.percentile(values, percent))


def _constant(values: list[float]) -> bool:
    return min(values) == max(values)
