"""From times to a ratio with its interval, and a word: does the suite add to the times? Pure functions.

The looks come after 8, 16, 32, … blocks, and the k-th has the probability ERROR ∕ 2ᵏ to be wrong: ERROR in all (Boole's
inequality). A last look, when the time is spent, is the one that was due next.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from .records import NESTED, ClockComparison, TimedBlock

LIMIT = 0.005  # the suite's share of a time, at most
ERROR = 0.05  # probability that an interval leaves out the true median, over all looks together
FIRST_LOOK = 8  # blocks; an interval at half of ERROR exists from 7 on


def comparison(name: str, known_s: float | None, blocks: Sequence[TimedBlock]) -> ClockComparison:
    """What so many blocks show; `known_s` is the time that each generation takes at least, None: not known."""
    harness_s = [seconds for block in blocks for seconds in block.harness_s]
    bare_s = [seconds for block in blocks for seconds in block.bare_s]
    ratios = [block_ratio(block.harness_s, block.bare_s) for block in blocks]
    interval = median_interval(ratios, ERROR / 2 ** _look(len(blocks)))
    word = _verdict(interval, harness_s, known_s)
    low, high = interval or (None, None)
    return ClockComparison(name, known_s, harness_s, bare_s, statistics.median(ratios), low, high, word)


def again(saved: ClockComparison) -> ClockComparison:
    """A saved comparison, made from its times once more."""
    size = 1 if saved.name.endswith(NESTED) else 2
    starts = range(0, len(saved.harness_s), size)
    blocks = [TimedBlock(saved.harness_s[n : n + size], saved.bare_s[n : n + size]) for n in starts]
    return comparison(saved.name, saved.asked_s, blocks)


def is_look(blocks: int) -> bool:
    """Whether so many blocks are looked at."""
    return blocks == FIRST_LOOK * 2 ** (_look(blocks) - 1)


def _look(blocks: int) -> int:
    """The number of the look that comes after so many blocks or the next ones, from 1."""
    return max(0, math.ceil(math.log2(blocks / FIRST_LOOK))) + 1


def block_ratio(harness_s: list[float], bare_s: list[float]) -> float:
    """Tokens/s of the harness over those of the bare loop: geometric means of the block's times, inverted.

    In the order ABBA a steady drift of the logarithm is the same in both.
    """
    return (math.prod(bare_s) / math.prod(harness_s)) ** (1 / len(bare_s))


def median_interval(values: list[float], error: float) -> tuple[float, float] | None:
    """An interval that leaves out the true median with a probability of `error` at most; None for too few.

    From the k-th smallest to the k-th largest value, whatever the distribution: it is left out when fewer
    than k of n values lie on one side of it, 2 P(B(n, 1/2) < k) (W. R. Thompson, 1936, the sign test's interval).
    """
    ordered = sorted(values)
    n, k = len(ordered), 0
    ways = below = 1  # of n fair coins: to show k heads, and to show k or fewer
    while 2 * below / 2**n <= error:
        ways = ways * (n - k) // (k + 1)
        k += 1
        below += ways
    return (ordered[k - 1], ordered[-k]) if k else None


def _verdict(interval: tuple[float, float] | None, harness_s: list[float], known_s: float | None) -> str:
    if known_s is not None and min(harness_s) < known_s:
        return "fail"  # a time below the known latency is impossible
    if interval is None:
        return "not shown"
    low, high = interval
    if low >= 1 - LIMIT and high <= 1 + LIMIT:
        return "pass"
    return "fail" if high < 1 - LIMIT or low > 1 + LIMIT else "not shown"
