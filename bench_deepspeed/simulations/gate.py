"""How often `bench.sh compare --fail_on_regression 3%` misses a regression, or reports a false one.

    python -m bench_deepspeed.simulations.gate [--check]

Draws the mean tokens/s of each process as exp(X), X normal, and judges both results as the command does. Nothing
changes between the two runs: on a machine that drifts from one to the other, all of this is worse.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections import Counter

from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.measure.distributions import LEVEL
from bench_deepspeed.measure.ratio import speed_ratio
from bench_deepspeed.measure.records import Result, Run, Sample
from bench_deepspeed.measure.regression import outcome_of
from bench_deepspeed.simulations import command

from .coverage import default_scenario

EVIDENCE = RESULTS / "simulations" / "gate.json"
TRIALS = 2000
BOUND = 0.03
SPREADS, PROCESSES = (0.01, 0.02, 0.05, 0.10), (3, 5, 10)
RATIOS = (1.0, 0.9)
"""Tokens/s of the second result over the first's: nothing changed, and a regression of 10%."""


def result(speed: float, spread: float, processes: int, draw: random.Random) -> Result:
    """One valid repetition a process, which stands for its mean."""
    scenario = default_scenario()
    seconds = [scenario.max_tokens / (speed * math.exp(draw.gauss(0.0, spread))) for _ in range(processes)]
    return Result(scenario, runs=[Run(samples=[Sample(s, 8, scenario.max_tokens)]) for s in seconds])


def study(spread: float, processes: int, ratio: float, trials: int = TRIALS, first: int = 0) -> dict:
    """So many pairs of results, and what the gate says of each."""
    outcomes: Counter[str] = Counter()
    for number in range(first, first + trials):
        draw = random.Random(f"gate {spread} {processes} {ratio}, trial {number}")
        a, b = (result(100.0 * speed, spread, processes, draw) for speed in (1.0, ratio))
        outcomes[outcome_of(speed_ratio(a, b), BOUND)] += 1
    return {name: outcomes[name] for name in ("shown", "inconclusive", "excluded")}


def evidence(trials: int = TRIALS) -> dict:
    """All that is published."""
    rows = [
        {"spread": spread, "processes": processes, "outcomes": [study(spread, processes, r, trials) for r in RATIOS]}
        for spread, processes in itertools.product(SPREADS, PROCESSES)
    ]
    return {**settings(), "trials": trials, "rows": rows}


def settings() -> dict:
    """What all rows have in common."""
    return {"level": LEVEL, "bound": BOUND, "ratios": RATIOS}


if __name__ == "__main__":
    sys.exit(command("gate", __doc__, EVIDENCE, evidence))
