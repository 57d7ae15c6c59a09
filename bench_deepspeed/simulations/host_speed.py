"""How far the host's speed explains the times of a saved run, and what the interval would gain from it.

    python -m bench_deepspeed.simulations.host_speed FILE ...

A control variate: with h the time of the host's loop around a repetition and t that of the repetition, t − b (h − h̄)
has 1 − r² of the variance of t, where b is the slope and r the correlation of the two (S. S. Lavenberg and P. D.
Welch, "A Perspective on the Use of Control Variables to Increase the Efficiency of Monte Carlo Simulations", Management
Science 27, 1981). That narrows the interval of a mean only where the mean of h is known better than from the same
repetitions; else it shows how much of the spread is the host. Within processes b is pooled, after each process's mean
was taken off; between them it is that of the means.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.statistics import correlation_p
from bench_deepspeed.report.tables import grid

Pairs = list[tuple[float, float]]
"""Of each repetition, or process: the host's loop and its own time, in seconds."""


def groups_of(result: Result) -> list[Pairs]:
    """The valid repetitions with readings of the host, of each process that has any."""
    groups = (
        [(statistics.fmean(s.host_s), s.seconds) for s in run.samples if s.host_s and not s.is_void(result.scenario)]
        for run in result.runs
    )
    return [group for group in groups if group]


def explained(pairs: Pairs, taken: int) -> dict[str, float] | None:
    """Correlation, its p-value, slope, and what is left of the variance once both are adjusted for the slope.

    `taken` means were taken off the n pairs before, so n − taken degrees of freedom are left, and the slope takes one
    more: the variance left is (1 − r²) · (n − taken) ∕ (n − taken − 1). None for too few pairs, or equal ones.
    """
    degrees = len(pairs) - taken
    host, time = [h for h, _ in pairs], [t for _, t in pairs]
    if degrees < 2 or min(host) == max(host) or min(time) == max(time):
        return None
    r = statistics.correlation(host, time)
    return {
        "r": r,
        "p": correlation_p(r, degrees + 1),
        "slope": statistics.linear_regression(host, time).slope,
        "left": (1 - r**2) * degrees / (degrees - 1),
    }


def within(groups: Sequence[Pairs]) -> Pairs:
    """All repetitions, each less the mean of its process."""
    return [
        (h - statistics.fmean(x for x, _ in group), t - statistics.fmean(y for _, y in group))
        for group in groups
        for h, t in group
    ]


def between(groups: Sequence[Pairs]) -> Pairs:
    """The processes' means."""
    return [(statistics.fmean(h for h, _ in group), statistics.fmean(t for _, t in group)) for group in groups]


def rows(name: str, result: Result) -> list[dict[str, str]]:
    """Column title → cell, of repetitions within processes and of the processes. Raises BenchError without readings."""
    groups = groups_of(result)
    if not groups:
        raise BenchError(f"{name} has no readings of the host's speed: measure it again with this version")
    levels = {
        "repetitions within processes": (within(groups), len(groups)),
        "processes": (between(groups), 1),
    }
    return [_row(name, level, pairs, explained(pairs, taken)) for level, (pairs, taken) in levels.items()]


def _row(name: str, level: str, pairs: Pairs, found: dict[str, float] | None) -> dict[str, str]:
    row = {"result": name, "of": level, "n": str(len(pairs))}
    if found is None:
        return {**row, "correlation": "too few, or equal", "p": "", "slope": "", "variance left": "", "width left": ""}
    return {
        **row,
        "correlation": f"{found['r']:+.2f}",
        "p": f"{found['p']:.2g}",
        "slope": f"{found['slope']:.3g} s per s",
        "variance left": f"{found['left']:.0%}",
        "width left": f"{math.sqrt(found['left']):.0%}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench_deepspeed.simulations.host_speed", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a result.json of `bench.sh run`")
    files = parser.parse_args().files
    try:
        print(grid([row for file in files for row in rows(file.stem, Result.load(file))]))
    except BenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
