"""Statistics of repeated measurements."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Of n values: mean, sample standard deviation (divisor n - 1; None for one value), median, range."""

    n: int
    mean: float
    std: float | None
    median: float
    minimum: float
    maximum: float


def summarize(values: list[float]) -> Summary | None:
    """Summarize the values; None when there are none, so that "not measured" stays visible."""
    if not values:
        return None
    return Summary(
        n=len(values),
        mean=statistics.fmean(values),
        std=statistics.stdev(values) if len(values) > 1 else None,
        median=statistics.median(values),
        minimum=min(values),
        maximum=max(values),
    )
