"""Tokens/s of a run: total tokens over total time, with its 95% interval.

Every valid repetition makes the same number of tokens, so tokens/s is that number over the mean seconds of a
repetition, and all arithmetic is done on seconds. A mean of rates would be another figure: larger, the more the times
scatter, and blind to a generation that takes five times as long.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .distributions import f_cdf, student_quantile
from .records import Result
from .statistics import Interval

SPEED_LEGEND = "tokens/s: total tokens over total time [95% interval of it, from the times of the processes]"
"""What tables say of it."""
TOO_ALIKE_P = 0.025
"""Means of processes that agree better than this probability allows agree by chance: their spread is no measure of the
error."""


@dataclass(frozen=True)
class Error:
    """How well a mean time is known: the centre of its interval, its relative standard error, degrees of freedom.

    By the delta method the relative error is that of the logarithm, and so of tokens/s as well.
    """

    centre_s: float
    relative: float
    degrees: int


@dataclass(frozen=True)
class MeanTime:
    """The mean seconds of a repetition, over `n` processes; of one process its error is not known."""

    mean_s: float
    n: int
    error: Error | None = None


def process_seconds(result: Result) -> list[list[float]]:
    """Seconds of the valid repetitions of each process, in the order they happened."""
    return [[s.seconds for s in run.samples if not s.is_void(result.scenario)] for run in result.runs]


def process_speeds(result: Result) -> list[list[float]]:
    """The same in tokens/s."""
    tokens = result.scenario.max_tokens
    return [[tokens / seconds for seconds in of_process] for of_process in process_seconds(result)]


def mean_time(groups: Sequence[Sequence[float]]) -> MeanTime | None:
    """The mean seconds of the repetitions in the groups, which are processes, and its error; None for none.

    With S_j the seconds of the n_j repetitions in process j of P, the mean is the ratio of totals m = Σ S_j ∕ Σ n_j.
    Its variance is that of a ratio over clusters (W. G. Cochran, "Sampling Techniques", 1977, 6.3), s² ∕ P, with s the
    standard deviation of e_j = (S_j − m n_j) ∕ n̄, divisor P − 1. The process is the unit, as its repetitions share
    what it drew. Slow states are rare and far away, so the e_j are skewed: the centre is m + μ₃ ∕ (6 s² P), with μ₃
    their third moment (N. J. Johnson, "Modified t Tests and Confidence Intervals for Asymmetrical Populations", JASA
    73, 1978).

    Where the processes' means agree better than the repetitions within them allow, F = (n̄ s²) ∕ w² below its 2.5%
    point, the error is what the repetitions bear: w ∕ √N, with w² their variance pooled within the processes and
    N − P degrees of freedom.
    """
    groups = [group for group in groups if group]
    if not groups:
        return None
    processes, repetitions = len(groups), sum(map(len, groups))
    mean_s = math.fsum(map(math.fsum, groups)) / repetitions
    if processes == 1:
        return MeanTime(mean_s, 1)
    size, within = repetitions / processes, repetitions - processes
    errors = [(math.fsum(group) - mean_s * len(group)) / size for group in groups]
    between = math.fsum(e * e for e in errors) / (processes - 1)
    pooled = _pooled_variance(groups) if within else 0.0
    if pooled and f_cdf(size * between / pooled, processes - 1, within) < TOO_ALIKE_P:
        return MeanTime(mean_s, processes, Error(mean_s, math.sqrt(pooled / repetitions) / mean_s, within))
    skewed = _third_moment(errors) / (6 * between * processes) if between and processes > 2 else 0.0
    centre_s = mean_s + skewed
    return MeanTime(mean_s, processes, Error(centre_s, math.sqrt(between / processes) / centre_s, processes - 1))


def _pooled_variance(groups: Sequence[Sequence[float]]) -> float:
    means = [statistics.fmean(group) for group in groups]
    squares = math.fsum((x - mean) ** 2 for group, mean in zip(groups, means, strict=True) for x in group)
    return squares / sum(len(group) - 1 for group in groups)


def _third_moment(errors: Sequence[float]) -> float:
    """The unbiased estimate of the third central moment, of three values or more whose mean is 0."""
    n = len(errors)
    return math.fsum(e * e * e for e in errors) * n / ((n - 1) * (n - 2))


def interval_of(tokens: int, groups: Sequence[Sequence[float]]) -> Interval | None:
    """Tokens/s of repetitions of so many tokens, by their seconds in each process, and its 95% interval.

    tokens ∕ centre · exp(± t(0.975; degrees) · relative error): Student's on the scale of the logarithm.
    """
    time = mean_time(groups)
    if time is None:
        return None
    speed, error = tokens / time.mean_s, time.error
    if error is None:
        return Interval(speed, None, None, time.n)
    factor = math.exp(student_quantile(error.degrees) * error.relative)
    return Interval(speed, tokens / error.centre_s / factor, tokens / error.centre_s * factor, time.n)


def speed_interval(result: Result) -> Interval | None:
    """Tokens/s and its interval; None when nothing valid was measured."""
    return interval_of(result.scenario.max_tokens, process_seconds(result))
