"""B ∕ A with its interval, and what may be said of it. Pure functions of a comparison's samples.

Of round r of pair p the log ratio is d_pr = ln( B's tokens/s ∕ A's tokens/s ): both were timed within seconds of each
other, so what the machine did to both is not in it. A pair's log ratio m_p is the mean of its rounds, and the
estimate is exp of the mean of the m_p. Its interval is Student's over the m_p, as `stats.mean_interval` has it: the
pair of processes is the unit of replication (T. Kalibera and R. Jones, "Rigorous Benchmarking in Reasonable Time",
ISMM 2013), since rounds of one pair share what its two processes drew, and follow each other. However they do, all
of that is in the spread of the m_p, so the rounds' autocorrelation needs no estimate here; it only tells, in
`noise`, whether more rounds or more pairs would narrow the interval.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure.ratio import DIGITS, ratio_text
from bench_deepspeed.measure.statistics import Interval, effective_size, mean_interval, series_interval

from .records import AbResult

BARELY = 0.5
"""Where the rounds' part of the pairs' variance is more than this, more rounds are the cheaper remedy."""

MOST_DIGITS = 5


@dataclass(frozen=True)
class PairedRatio:
    """B's tokens/s over A's, a geometric mean, and its 95% interval; `low` and `high` are None where there is none."""

    value: float
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, logs: Interval | None) -> PairedRatio | None:
        """From the interval of log ratios."""
        if logs is None:
            return None
        low, high = (None if bound is None else math.exp(bound) for bound in (logs.low, logs.high))
        return cls(math.exp(logs.mean), low, high, logs.n)

    @property
    def half_width(self) -> float:
        """Of the log ratio's interval, which for a narrow one is the ratio's relative half width; else infinite."""
        return math.inf if self.low is None else math.log(self.high / self.low) / 2

    @property
    def shown(self) -> str:
        """ "1.23 [1.20, 1.26]", with as many digits as its width is worth; see also `measure.ratio.ratio_text`."""
        if self.low is None:
            return f"{self.value:.{DIGITS}f} [{NOT_MEASURED}]"
        width = (self.high - self.low) / 2
        digits = min(max(2, -math.floor(math.log10(width))), MOST_DIGITS) if width > 0 else MOST_DIGITS
        return ratio_text(self.value, self.low, self.high, digits)


@dataclass(frozen=True)
class Noise:
    """Standard deviations of log ratios: of the pairs' means, and of what the rounds alone would make of them."""

    between: float
    within: float


def log_ratios(result: AbResult) -> list[list[float]]:
    """ln( B's tokens/s ∕ A's ) of each round of each pair, those with a void sample left out."""
    pairs = zip(result.a.runs, result.b.runs, strict=False)
    return [
        [
            math.log(b.tokens_per_s / a.tokens_per_s)
            for a, b in zip(of_a.samples, of_b.samples, strict=True)
            if not a.is_void(result.a.scenario) and not b.is_void(result.b.scenario)
        ]
        for of_a, of_b in pairs
    ]


def ratio(logs: list[list[float]]) -> PairedRatio | None:
    """B ∕ A over all pairs; None where no round is valid."""
    return PairedRatio.of(mean_interval(logs))


def ratio_within(logs: list[float]) -> PairedRatio | None:
    """B ∕ A of one pair, with the interval that holds for these two processes only; see `stats.series_interval`."""
    return PairedRatio.of(series_interval(logs))


def faster(found: PairedRatio | None) -> str | None:
    """The side that is faster, "A" or "B"; None where nothing is shown: the interval holds 1, or there is none."""
    if found is None or found.low is None or found.low <= 1 <= found.high:
        return None
    return "B" if found.low > 1 else "A"


def sentence(found: PairedRatio | None) -> str:
    """The answer to "is B faster than A?"."""
    if found is None:
        return "no verdict: no round is valid"
    if found.low is None:
        return (
            f"no verdict: B was {found.value:.{DIGITS}f} times as fast as A in one pair of processes, "
            "which cannot tell a configuration from the luck of its processes"
        )
    winner = faster(found)
    if winner is None:
        return f"no difference shown: B ∕ A is {found.shown}, an interval that holds 1"
    return f"B is {'faster' if winner == 'B' else 'slower'}: {found.shown} times A"


def noise(logs: list[list[float]]) -> Noise | None:
    """Where the interval's width comes from; None for fewer than two pairs, or rounds that tell nothing of theirs.

    The rounds' part is √( mean of s² ∕ effective size ), as if each pair of processes were like the others.
    """
    pairs = [pair for pair in logs if pair]
    widths = [series_interval(pair) for pair in pairs]
    if len(pairs) < 2 or any(found.low is None for found in widths):
        return None
    errors = [statistics.variance(pair) / effective_size(pair) for pair in pairs]
    return Noise(statistics.stdev([found.mean for found in widths]), math.sqrt(statistics.fmean(errors)))


def remedy(found: Noise | None) -> str:
    """What would narrow the interval."""
    if found is None:
        return "more `--processes`"
    if found.within**2 <= BARELY * found.between**2:
        return "more `--processes`: it is the processes that differ"
    return "more `--rounds`: it is the rounds that differ"
