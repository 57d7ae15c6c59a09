"""Whether a target keeps up with a rate, told from one level alone."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from .metrics import due_in_window, e2e, ended_in_window
from .records import Level

BLOCKS = 10
"""Waiting times of neighbours are much alike: a test that took them for independent would see a trend in any
queue. Means of tenths of the window are alike far less."""
MIN_REQUESTS = 5 * BLOCKS
P_LIMIT = 0.01
COMPLETED = 0.95


@dataclass(frozen=True)
class Verdict:
    """`slope` is the growth of latency, seconds a second, with its one-sided p; None for too few requests.

    `completed` is the number of requests that ended in the window over that of requests due in it.
    """

    saturated: bool
    slope: float | None
    p: float | None
    completed: float | None

    @property
    def words(self) -> str:
        if self.slope is None:
            return f"not told: fewer than {MIN_REQUESTS} requests"
        if not self.saturated:
            return "settled"
        return f"saturated: latency grows by {self.slope:.2g} s a second, {self.completed:.0%} of what is due ends"


def judge(level: Level) -> Verdict:
    """Saturated: latency grows with time in the window, and fewer requests end than are due.

    Both must hold: the slope of the mean latency of ten equal parts of the window is above zero with a
    one-sided p < 0.01 (least squares, Student's t with 8 degrees of freedom), and requests that ended in the
    window ∕ requests due in it < 0.95. The first alone is met by a queue that fills up once and then drains, the
    second alone by an arrival that happens to come just before the window's end.
    """
    from scipy.stats import linregress

    due = due_in_window(level)
    completed = len(ended_in_window(level)) / len(due) if due else None
    means = _block_means(level)
    if len(due) < MIN_REQUESTS or len(means) < BLOCKS // 2:
        return Verdict(False, None, None, completed)
    times, latencies = zip(*means, strict=True)
    if max(latencies) == min(latencies):
        return Verdict(False, 0.0, 0.5, completed)
    fit = linregress(times, latencies, alternative="greater")
    saturated = bool(fit.pvalue < P_LIMIT and completed < COMPLETED)
    return Verdict(saturated, float(fit.slope), float(fit.pvalue), completed)


def _block_means(level: Level) -> list[tuple[float, float]]:
    """(middle of the part, mean latency of the requests due in it) of each tenth of the window that has any."""
    start, end = level.window_s
    width = (end - start) / BLOCKS
    parts: list[list[float]] = [[] for _ in range(BLOCKS)]
    for record in due_in_window(level):
        if record.error is None:
            parts[min(int((record.due_s - start) / width), BLOCKS - 1)].append(e2e(record))
    return [(start + (n + 0.5) * width, statistics.fmean(part)) for n, part in enumerate(parts) if part]


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
