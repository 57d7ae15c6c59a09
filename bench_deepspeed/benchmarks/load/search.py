"""The search for the highest request rate that attains a service level objective. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench_deepspeed.core.text import NOT_MEASURED

from .attainment import judge
from .level_statistics import due_in_window, window_s
from .objective import MOST_RATE
from .records import Level, Slo

FIRST = 0.5
"""The first rate, over that at which one client gets answers: a target without batching sustains that as well."""
FACTOR = 4.0
"""From one rate to the next, up or down, until there is one on either side."""
PRECISION = 1.1
"""The search ends where the lowest rate that does not attain is so many times the highest one that does, or less."""
MOST_LEVELS, MOST_DOWN = 16, 4


def first_rate(alone_s: float) -> float:
    """Where a search begins, in requests a second, from the seconds that a request takes alone."""
    return _rounded(min(FIRST / alone_s, MOST_RATE))


def next_rate(attained: Mapping[float, bool], first: float) -> float | None:
    """The rate to measure next, in requests a second, after those that did or did not attain the objective.

    None where the search is over. Up or down by a factor until one rate attains the objective and one does not, then
    the middle of the two on a logarithmic scale. A level that is inconclusive does not attain: what is found is what
    was shown.
    """
    if not attained:
        return first
    low, high = _bounds(attained)
    if len(attained) >= MOST_LEVELS or (low is None and len(attained) > MOST_DOWN):
        return None
    if low is None or high is None:
        following = _rounded(high / FACTOR if low is None else min(low * FACTOR, MOST_RATE))
        return None if following in attained else following
    return None if high <= PRECISION * low else _rounded(math.sqrt(low * high))


def _bounds(attained: Mapping[float, bool]) -> tuple[float | None, float | None]:
    """The highest rate that attains the objective, and the lowest above it that does not."""
    low = max((rate for rate, shown in attained.items() if shown), default=None)
    return low, min((rate for rate, shown in attained.items() if not shown and rate > (low or 0.0)), default=None)


def _rounded(rate: float) -> float:
    """To three significant digits."""
    return float(f"{rate:.3g}")


@dataclass(frozen=True)
class Found:
    """The level of the highest rate that attains the objective, and that of the lowest above it that does not."""

    attained: Level | None
    above: Level | None


def found(levels: Sequence[Level], slo: Slo) -> Found:
    """What a search has found so far."""
    by_rate = {level.rate: level for level in levels if level.rate is not None}
    low, high = _bounds({rate: judge(level, slo).state == "attained" for rate, level in by_rate.items()})
    return Found(by_rate.get(low), by_rate.get(high))


def words(levels: Sequence[Level], slo: Slo) -> list[str]:
    """What a search has found and how sure that is, in lines."""
    ends = found(levels, slo)
    if ends.attained is None:
        highest = "none of those that were tried" if len(levels) > MOST_DOWN else NOT_MEASURED
        lines = [f"highest rate that attains the SLO: {highest}"]
    else:
        said = judge(ends.attained, slo).words
        lines = [f"highest rate that attains the SLO: {_offered(ends.attained)}: {said} (confidence: 97.5%)"]
    if ends.above is not None:
        verdict = judge(ends.above, slo)
        lines.append(f"the lowest rate above that: {_offered(ends.above)}: {verdict.state}: {verdict.words}")
    elif ends.attained is not None:
        lines.append("no rate above that was measured: the SLO may be attained at higher ones")
    return [f"SLO {slo.text}{f' ({slo.source})' if slo.source else ''}", *lines]


def _offered(level: Level) -> str:
    """The rate that was offered in the window, which a Poisson process makes more or less than requested."""
    return f"{len(due_in_window(level)) / window_s(level):.3g} requests/s, as offered"
