"""Student's, beta and F distributions. Closed forms and series: SciPy takes longer to import than a list to show."""

from __future__ import annotations

import functools
import math

LEVEL = 0.95


@functools.cache
def student_quantile(degrees: int) -> float:
    """t(0.975; degrees) of Student's distribution, for a whole number of degrees of freedom, 1 or more.

    With t = √degrees · tan θ the probability of -t … t is a finite sum of powers of cos θ (M. Abramowitz and
    I. Stegun, "Handbook of Mathematical Functions", 1964, 26.7.3 and 26.7.4), which θ is bisected for. SciPy
    has it as well, and takes longer to import than hundreds of results take to list.
    """
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if central_student(middle, degrees) < LEVEL else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def central_student(theta: float, degrees: int) -> float:
    """The probability of -t … t, with t = √degrees · tan θ."""
    odd = degrees % 2
    term = math.sin(theta) * (math.cos(theta) if odd else 1.0)
    total = 0.0
    for n in range(odd + 1, degrees, 2):
        total += term
        term *= n / (n + 1) * math.cos(theta) ** 2
    return 2 / math.pi * (theta + total) if odd else total


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b), for x from 0 to 1 and positive a and b.

    By the series of M. Abramowitz and I. Stegun, "Handbook of Mathematical Functions", 1964, 26.5.4, on the side of
    the mean where it converges fast.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    logarithm = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a + 1) - math.lgamma(b)
    total, term, n = 0.0, 1.0, 0
    while term > 1e-16 * total:
        total += term
        term *= x * (a + b + n) / (a + 1 + n)
        n += 1
    return min(1.0, math.exp(logarithm) * total)


def f_cdf(value: float, above: int, below: int) -> float:
    """The probability that F, with so many degrees of freedom above and below the line, is not more than the value."""
    return beta_cdf(above * value / (above * value + below), above / 2, below / 2)
