"""The ratio of two speeds that were measured apart, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench_deepspeed.core.text import NO_INTERVAL

from .distributions import LEVEL
from .power import Detectable, detectable_of
from .records import Result
from .speed import mean_time, process_seconds

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
            return f"{self.value:.{DIGITS}f} [{NO_INTERVAL}]"
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


@dataclass(frozen=True)
class LogError:
    """The standard error of a value's logarithm, and its degrees of freedom."""

    relative: float
    degrees: int


def speed_ratio(first: Result, other: Result) -> Ratio | None:
    """Tokens/s of `other` ∕ that of `first`, with a 95% interval; None where one has no valid repetition.

        r = x_b ∕ x_a;  r' · exp(± t(0.975; ν) √(v_a + v_b))

    x is total tokens over total time, v the variance of its logarithm and d its degrees of freedom, all as in
    `speed.mean_time`; r' is the ratio of the centres that the two intervals are around. The two are independent and
    need not scatter alike, so ν is Welch's (B. L. Welch, Biometrika 34, 1947; F. E. Satterthwaite, Biometrics Bulletin
    2, 1946):

        ν = (v_a + v_b)² ∕ (v_a² ∕ d_a + v_b² ∕ d_b)
    """
    a, b = mean_time(process_seconds(first)), mean_time(process_seconds(other))
    if a is None or b is None:
        return None
    tokens = other.scenario.max_tokens / first.scenario.max_tokens
    value = tokens * a.mean_s / b.mean_s
    if a.error is None or b.error is None:
        return Ratio(value, None, None, None)
    centre = tokens * a.error.centre_s / b.error.centre_s
    errors = [LogError(error.relative, error.degrees) for error in (a.error, b.error)]
    return ratio_of(value, centre, *errors)


def ratio_of(value: float, centre: float, a: LogError | None, b: LogError | None) -> Ratio:
    """A ratio of two independent values with its interval around `centre`, by Welch: see `speed_ratio`."""
    if a is None or b is None:
        return Ratio(value, None, None, None)
    variance_a, variance_b = a.relative**2, b.relative**2
    variance = variance_a + variance_b
    if variance == 0:
        return Ratio(value, value, value, None)
    degrees = variance**2 / (variance_a**2 / a.degrees + variance_b**2 / b.degrees)
    from scipy.special import stdtrit

    factor = math.exp(float(stdtrit(degrees, (1 + LEVEL) / 2)) * math.sqrt(variance))
    return Ratio(value, centre / factor, centre * factor, degrees)
