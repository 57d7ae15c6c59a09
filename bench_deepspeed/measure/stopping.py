"""When a process is warm, when it is measured, and when there are enough of them.

The same functions run a benchmark and its simulation: a generation is a callable here, whatever makes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from .records import Result, Run, Sample, Scenario
from .speed import interval_of, process_seconds

Generate = Callable[[], Sample]

MIN_WARMUPS, MAX_WARMUPS = 3, 20
STEADY_GAIN = 0.02
"""Getting faster by less than this is not warming up any more."""
MAX_PROCESSES = 30
IN_A_ROW = 5
"""So many intervals in a row have to be within the target: of many intervals one is narrow by chance, and a run that
ended with it would contain the true mean too seldom (docs/method/statistics.md, "Statistics", shows how often)."""
FEWEST = 3
"""So many processes are measured however long they take."""
CHEAP_LOAD_S = 120
"""An engine that takes longer to load is loaded once, unless the user sets the number of processes."""


def is_steady(warmups: list[Sample]) -> bool:
    """Whether the last two warm-ups were no faster, by more than 2%, than the fastest before them.

    Warming up shows as getting faster. Noise does not: of n samples alike, the fastest is one of the last
    two with probability 2/n only, so also where samples scatter by 10% this soon holds.
    """
    speeds = [sample.tokens_per_s for sample in warmups]
    if len(speeds) < MIN_WARMUPS:
        return False
    return max(speeds[-2:]) <= max(speeds[:-2]) * (1 + STEADY_GAIN)


def warm_ups(generate: Generate, run: Run, count: int | None) -> Iterator[Sample]:
    """Generate until the process is warm, or `count` times. Each sample is in the run before it is yielded."""
    if count is not None:
        yield from _append(generate, run.warmups, count)
        return
    run.steady = False
    while not run.steady and len(run.warmups) < MAX_WARMUPS:
        yield from _append(generate, run.warmups, 1)
        run.steady = is_steady(run.warmups)


def repetitions(generate: Generate, run: Run, count: int) -> Iterator[Sample]:
    """Generate `count` times. Each sample is in the run before it is yielded."""
    yield from _append(generate, run.samples, count)


def _append(generate: Generate, samples: list[Sample], count: int) -> Iterator[Sample]:
    for _ in range(count):
        sample = generate()
        samples.append(sample)
        yield sample


def warmed(run: Run) -> str:
    """How warming up until steady ended, in words."""
    return f"{'steady' if run.steady else 'not steady'} after {len(run.warmups)} warm-ups"


def enough(result: Result, elapsed_s: float, leave_out: bool) -> str | None:
    """Why no further process is to be measured, in words; None while one is.

    `elapsed_s` is the time since the first process was started. `leave_out`: the user set
    no number of processes, so where loading is expensive one process is enough, and the time budget limits them.
    """
    scenario, n = result.scenario, len(result.runs)
    load_s = (result.runs[0].load_s if result.runs else None) or 0.0
    if n and leave_out and scenario.target_ci is None and load_s > CHEAP_LOAD_S:
        return (
            f"1 process only, since loading took {load_s:.0f} s (more than {CHEAP_LOAD_S} s): "
            f"--processes {scenario.processes} measures the others as well"
        )
    budget_s = scenario.time_budget_s
    if leave_out and FEWEST <= n < scenario.processes and budget_s is not None and elapsed_s >= budget_s:
        return (
            f"{n} processes: the time budget of {budget_s:.0f} s is spent; "
            f"--processes {scenario.processes} measures the others as well"
        )
    if n < scenario.processes:
        return None
    if scenario.target_ci is None:
        return f"{_processes(n)}, as requested"
    if not result.valid_samples:
        return f"{_processes(n)}: no repetition is valid, so there is no interval to narrow"
    return target_met(scenario, _processes(n), n, lambda count: _relative(result, count), elapsed_s)


def target_met(scenario: Scenario, done: str, n: int, width: Callable[[int], float], elapsed_s: float) -> str | None:
    """Why the search for a narrow interval ends after `n` processes, `done` in words; None while it goes on.

    The scenario has a target. `width` returns the relative half width of the interval after so many processes.
    """
    target, budget_s = scenario.target_ci, scenario.time_budget_s
    assert target is not None
    widths = [width(count) for count in range(n - IN_A_ROW + 1, n + 1)]
    interval = f"the interval is ± {widths[-1]:.2%}, the target ± {target:.2%}"
    if max(widths) <= target:
        return f"{done}: the target is met; {interval}"
    if n >= MAX_PROCESSES:
        return f"{done}, the most there are; {interval}"
    if budget_s is not None and elapsed_s >= budget_s:
        return f"{done}: the time budget of {budget_s:.0f} s is spent; {interval}"
    return None


def _processes(n: int) -> str:
    return "1 process" if n == 1 else f"{n} processes"


def _relative(result: Result, count: int) -> float:
    """The interval's half width over its mean after the first `count` processes; infinite where there is none."""
    interval = interval_of(result.scenario.max_tokens, process_seconds(result)[: max(count, 0)])
    return math.inf if interval is None or interval.relative is None else interval.relative
