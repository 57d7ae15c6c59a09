"""B ∕ A with its interval, and what it shows. Pure functions of a comparison's samples.

Of round r of pair p the log ratio is d_pr = ln( B's tokens/s ∕ A's tokens/s ): both were timed within seconds of each
other, so what the machine did to both is not in it. A pair's log ratio m_p is the mean of its rounds, and the
estimate is exp of the mean of the m_p. Its interval is Student's over the m_p, as `stats.mean_interval` has it: the
pair of processes is the unit of replication (T. Kalibera and R. Jones, "Rigorous Benchmarking in Reasonable Time",
ISMM 2013), since rounds of one pair share what its two processes drew, and follow each other. However they do, all
of that is in the spread of the m_p, so the rounds' autocorrelation needs no estimate here; it only decides, in
`log_spread`, whether more rounds or more pairs would narrow the interval.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from bench_deepspeed.core.text import NO_INTERVAL
from bench_deepspeed.measure.power import Detectable, detectable_of
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
    def from_logs(cls, logs: Interval | None) -> PairedRatio | None:
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
    def detectable(self) -> Detectable | None:
        """The difference that a comparison of as many pairs with this spread detects with 80% power; None for one
        pair."""
        return None if self.low is None else detectable_of(self.half_width, self.n - 1)

    @property
    def shown(self) -> str:
        """ "1.23 [1.20, 1.26]", with as many digits as its width is worth; see also `measure.ratio.ratio_text`."""
        if self.low is None:
            return f"{self.value:.{DIGITS}f} [{NO_INTERVAL}]"
        width = (self.high - self.low) / 2
        digits = min(max(2, -math.floor(math.log10(width))), MOST_DIGITS) if width > 0 else MOST_DIGITS
        return ratio_text(self.value, self.low, self.high, digits)


@dataclass(frozen=True)
class Spread:
    """Standard deviations of log ratios: of the pairs' means, and of what the rounds alone would make of them."""

    between: float
    within: float


def log_ratios(result: AbResult) -> list[list[float]]:
    """ln( B's tokens/s ∕ A's ) of each round of each pair, those with a void sample left out."""
    pairs = zip(result.a.runs, result.b.runs, strict=False)
    return [
        [
            math.log(b.tokens_per_s / a.tokens_per_s)
            for a, b in zip(run_a.samples, run_b.samples, strict=True)
            if not a.is_void(result.a.scenario) and not b.is_void(result.b.scenario)
        ]
        for run_a, run_b in pairs
    ]


def ratio(logs: list[list[float]]) -> PairedRatio | None:
    """B ∕ A over all pairs; None where no round is valid."""
    return PairedRatio.from_logs(mean_interval(logs))


def ratio_within(logs: list[float]) -> PairedRatio | None:
    """B ∕ A of one pair, with the interval that holds for these two processes only; see `stats.series_interval`."""
    return PairedRatio.from_logs(series_interval(logs))


def faster(paired: PairedRatio | None) -> str | None:
    """The side that is faster, "A" or "B"; None where no difference is shown: the interval contains 1, or there is
    none."""
    if paired is None or paired.low is None or paired.low <= 1 <= paired.high:
        return None
    return "B" if paired.low > 1 else "A"


def verdict(paired: PairedRatio | None) -> str:
    """The answer to "is B faster than A?"."""
    if paired is None:
        return "no verdict: no round is valid"
    if paired.low is None:
        return (
            f"no verdict: B was {paired.value:.{DIGITS}f} times as fast as A in one pair of processes, "
            "which cannot separate the configurations from differences between processes"
        )
    winner = faster(paired)
    if winner is None:
        return f"no difference shown: B ∕ A is {paired.shown}, an interval that contains 1"
    return f"B is {'faster' if winner == 'B' else 'slower'}: {paired.shown} times A"


def log_spread(logs: list[list[float]]) -> Spread | None:
    """Where the interval's width comes from; None for fewer than two pairs, or where a pair's rounds have no interval.

    The rounds' part is √( mean of s² ∕ effective size ), as if each pair of processes were like the others.
    """
    pairs = [pair for pair in logs if pair]
    intervals = [series_interval(pair) for pair in pairs]
    if len(pairs) < 2 or any(interval.low is None for interval in intervals):
        return None
    errors = [statistics.variance(pair) / effective_size(pair) for pair in pairs]
    return Spread(statistics.stdev([interval.mean for interval in intervals]), math.sqrt(statistics.fmean(errors)))


def remedy(spread: Spread | None) -> str:
    """What would narrow the interval."""
    if spread is None:
        return "more `--processes`"
    if spread.within**2 <= BARELY * spread.between**2:
        return "more `--processes`: it is the processes that differ"
    return "more `--rounds`: it is the rounds that differ"
