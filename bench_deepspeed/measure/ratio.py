"""The ratio of two speeds that were measured apart, with its interval."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from bench_deepspeed.core.text import NOT_MEASURED

from .power import Detectable, detectable_of
from .records import Result
from .statistics import LEVEL, process_means

DIGITS = 3


def ratio_text(value: float, low: float, high: float, digits: int) -> str:
    """ "1.04 [1.01, 1.07]": a ratio and its interval, with `digits` behind the point, or more.

    As many as show on which side of 1 each bound is: "[1.00, 1.05]" would hold 1 where 1.0012 does not.
    """
    while any(bound != 1 and round(bound, digits) == 1 for bound in (low, high)):
        digits += 1
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


@dataclass(frozen=True)
class Ratio:
    """Mean tokens/s of one result over those of another; `low` and `high` are None where one has one process.

    `degrees_of_freedom` is None without an interval, and where no process differed from another.
    """

    value: float
    low: float | None
    high: float | None
    degrees_of_freedom: float | None

    @property
    def shown(self) -> str:
        """With its interval; see `ratio_text`."""
        if self.low is None or self.high is None:
            return f"{self.value:.{DIGITS}f} [{NOT_MEASURED}]"
        return ratio_text(self.value, self.low, self.high, DIGITS)

    @property
    def detectable(self) -> Detectable | None:
        """What a comparison of as many processes that scatter as these do shows with 80% power; None without interval.

        Of a noncentral t with Welch's degrees of freedom, which are themselves estimated: an approximation.
        """
        if self.low is None or self.high is None:
            return None
        if self.degrees_of_freedom is None:
            return Detectable(0.0)
        return detectable_of(math.log(self.high / self.low) / 2, self.degrees_of_freedom)

    @property
    def verdict(self) -> str | None:
        """Whether the whole interval is on one side of 1; None without an interval."""
        if self.low is None or self.high is None:
            return None
        if self.low > 1:
            return "faster"
        return "slower" if self.high < 1 else "no difference shown"


def speed_ratio(first: Result, other: Result) -> Ratio | None:
    """Mean tokens/s of `other` ∕ that of `first`, with a 95% interval; None where one has no valid repetition.

        r = m_b ∕ m_a;  r · exp(± t(0.975; ν) √(v_a + v_b)),  v = s² ∕ (P m²)

    m is the mean and s the sample standard deviation of the means of P processes, the unit of replication as
    everywhere here; v is the variance of log m by the delta method (G. W. Oehlert, "A Note on the Delta Method",
    The American Statistician 46, 1992). The two are independent and need not scatter alike, so ν is Welch's
    (B. L. Welch, Biometrika 34, 1947; F. E. Satterthwaite, Biometrics Bulletin 2, 1946):

        ν = (v_a + v_b)² ∕ (v_a² ∕ (P_a - 1) + v_b² ∕ (P_b - 1))
    """
    means_a, means_b = process_means(first), process_means(other)
    if not means_a or not means_b:
        return None
    value = statistics.fmean(means_b) / statistics.fmean(means_a)
    if min(len(means_a), len(means_b)) < 2:
        return Ratio(value, None, None, None)
    a, b = _log_variance(means_a), _log_variance(means_b)
    if a + b == 0:
        return Ratio(value, value, value, None)
    degrees = (a + b) ** 2 / (a**2 / (len(means_a) - 1) + b**2 / (len(means_b) - 1))
    from scipy.special import stdtrit

    factor = math.exp(float(stdtrit(degrees, (1 + LEVEL) / 2)) * math.sqrt(a + b))
    return Ratio(value, value / factor, value * factor, degrees)


def _log_variance(means: list[float]) -> float:
    return statistics.variance(means) / len(means) / statistics.fmean(means) ** 2
