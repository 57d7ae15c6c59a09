"""Whether a target keeps up with a rate, judged from one level alone."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass

from bench_deepspeed.measure.statistics import correlation_p

from .level_statistics import due_in_window, ended_in_window, unmeasured, window_s
from .records import Level

BLOCKS = 10
"""The numbers in flight at neighbouring times are much alike: a test that took them for independent would see a trend
in any queue. Means of tenths of the window are alike far less."""
MIN_REQUESTS = 5 * BLOCKS
P_LIMIT = 0.01
COMPLETED = 0.95


@dataclass(frozen=True)
class Verdict:
    """`slope` is the growth of the number in flight, requests a second, with its one-sided p; None for too
    few requests, and for a level that is not measured.

    `completed` is the number of requests that ended in the window over that of requests due in it.
    """

    saturated: bool
    slope: float | None
    p: float | None
    completed: float | None

    @property
    def words(self) -> str:
        if self.slope is None:
            return f"not known: fewer than {MIN_REQUESTS} requests"
        if not self.saturated:
            return "settled"
        return f"saturated: {self.slope:.2g} more in flight each second, {self.completed:.0%} of what is due ends"


def judge(level: Level) -> Verdict:
    """Saturated: the number in flight grows with time in the window, and fewer requests end than are due.

    By Little's law the number in flight is rate × latency, so at a given rate it grows where latency does; but it is
    known at each time of the window, while the latency of a request that is due late depends on what comes, or no
    longer comes, after the window. Both must hold: the slope of the mean number in flight in ten equal parts of the
    window is above zero with a one-sided p < 0.01 (least squares, Student's t with 8 degrees of freedom), and requests
    that ended in the window ∕ requests due in it < 0.95. The first alone is met by a queue that fills up once and then
    drains, the second alone by an arrival that happens to come just before the window's end.
    """
    due = due_in_window(level)
    completed = len(ended_in_window(level)) / len(due) if due else None
    if len(due) < MIN_REQUESTS or unmeasured(level):
        return Verdict(False, None, None, completed)
    numbers = _in_flight(level)
    if max(numbers) == min(numbers):
        return Verdict(False, 0.0, 0.5, completed)
    part_s = window_s(level) / BLOCKS
    slope, _ = statistics.linear_regression([part_s * n for n in range(BLOCKS)], numbers)
    both_sides = correlation_p(statistics.correlation(range(BLOCKS), numbers), BLOCKS)
    p = both_sides / 2 if slope > 0 else 1 - both_sides / 2
    return Verdict(p < P_LIMIT and completed < COMPLETED, slope, p, completed)


def too_high(level: Level) -> str | None:
    """Why a rate is not sustained, from its level alone: requests failed, or it saturates; None where it is."""
    due = due_in_window(level)
    failed = sum(record.error is not None for record in due)
    if failed > (1 - COMPLETED) * len(due):
        return f"{failed} of {len(due)} requests failed"
    verdict = judge(level)
    return verdict.words if verdict.saturated else None


def _in_flight(level: Level) -> list[float]:
    """The mean number of requests that were due and had not ended in each tenth of the window; without failed ones."""
    start, end = level.window_s
    edges = [start + n * (end - start) / BLOCKS for n in range(BLOCKS + 1)]
    spans = [(record.due_s, record.last_s) for record in level.records if record.error is None]
    return [
        sum(max(0.0, min(last, right) - max(due, left)) for due, last in spans) / (right - left)
        for left, right in itertools.pairwise(edges)
    ]


def highest_sustained(levels: list[Level]) -> float | None:
    """The highest rate whose level settled without a failed request; None where none did, or none was tried."""
    held = [
        level.rate
        for level in levels
        if level.rate is not None
        and judge(level).slope is not None
        and not judge(level).saturated
        and all(record.error is None for record in due_in_window(level))
    ]
    return max(held, default=None)
