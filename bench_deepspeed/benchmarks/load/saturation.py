"""Whether a target sustains a request rate, judged from one level alone; and the maximum sustainable request rate."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench_deepspeed.measure.distributions import student_quantile

from .level_statistics import due_in_window, unmeasured, window_s
from .records import Level

BLOCKS = 10
MIN_REQUESTS = 5 * BLOCKS
MARGIN = 0.05
"""A rate is sustained where fewer than this share of the requests that are due pile up."""
CONFIDENCE = 0.975
"""Of each of the two statements, one-sided: the interval is the two-sided one of 95%."""


@dataclass(frozen=True)
class Verdict:
    """`piled` is the share of the requests due in the window by which the number in flight grew, with its 95% interval.

    None for too few requests, and for a level that is not measured.
    """

    state: Literal["sustained", "not sustained", "inconclusive"]
    piled: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def words(self) -> str:
        if self.piled is None:
            return f"{self.state}: fewer than {MIN_REQUESTS} requests"
        return f"{self.state}: {self.piled:.1%} [{self.low:.1%}, {self.high:.1%}] of the offered requests piled up"


def judge(level: Level) -> Verdict:
    """Whether the number in flight grows by a share of what is due: by none of it, or by less than `MARGIN`.

    The window has ten equal parts; dᵦ is what the number of requests in flight grows by in each, and A how many are
    due in the window. The share is Σ dᵦ ∕ A, with the interval ± t(0.975; 9) · s √10 ∕ A, where s is the sample
    standard deviation of the dᵦ. Above capacity the number in flight is a random walk, whose steps are independent, so
    the interval holds there; below, steps are followed by steps back, and it is wider than it need be. "Not sustained"
    where all of the interval is above zero, "sustained" where all of it is below the margin (an equivalence test:
    D. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987), else "inconclusive".
    """
    due = due_in_window(level)
    if len(due) < MIN_REQUESTS or unmeasured(level):
        return Verdict("inconclusive")
    steps = [later - earlier for earlier, later in itertools.pairwise(_in_flight(level))]
    piled = sum(steps) / len(due)
    half_width = student_quantile(BLOCKS - 1) * statistics.stdev(steps) * BLOCKS**0.5 / len(due)
    low, high = piled - half_width, piled + half_width
    state = "not sustained" if low > 0 else "sustained" if high < MARGIN else "inconclusive"
    return Verdict(state, piled, low, high)


def too_high(level: Level) -> str | None:
    """Why a rate is not sustained, from its level alone: requests failed, or they pile up; None where it may be."""
    due = due_in_window(level)
    failed = sum(record.error is not None for record in due)
    if failed > MARGIN * len(due):
        return f"{failed} of {len(due)} requests failed"
    verdict = judge(level)
    return verdict.words if verdict.state == "not sustained" else None


def _in_flight(level: Level) -> list[int]:
    """How many requests were due and had not ended at each edge of the ten parts of the window; without failed ones."""
    start, part = level.window_s[0], window_s(level) / BLOCKS
    spans = [(record.due_s, record.last_s) for record in level.records if record.error is None]
    return [sum(due <= start + n * part < last for due, last in spans) for n in range(BLOCKS + 1)]


@dataclass(frozen=True)
class Bracket:
    """Bounds of the maximum sustainable request rate, in requests a second; None for a bound that was not found.

    They are the rates that were offered in the windows, and not those that were requested: a Poisson process brings
    more or fewer, and a target that kept up with fewer has shown no more than that.
    """

    sustained: float | None
    not_sustained: float | None


def bracket(levels: Iterable[Level]) -> Bracket:
    """The highest rate that was sustained without a failed request, and the lowest that was not sustained."""
    judged = [(judge(level).state, due_in_window(level), window_s(level)) for level in levels if level.rate is not None]
    whole = [(state, due, s) for state, due, s in judged if all(record.error is None for record in due)]
    return Bracket(
        max((len(due) / s for state, due, s in whole if state == "sustained"), default=None),
        min((len(due) / s for state, due, s in judged if state == "not sustained"), default=None),
    )
