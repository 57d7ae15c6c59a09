"""How often the 95% interval holds the truth.

    python -m bench_deepspeed.simulations.coverage [--check]

Simulates whole runs with the defaults of a GPU: the worker's own code with the fake engine, whose clock is
put forward instead of waited for, the warm-ups and repetitions of `measure`, the interval of `stats`.

The truth is the expectation of one repetition's tokens/s over all processes, once warm. Its time is
T · exp(X) with X normal, of mean 0 and variance σ², the sum of the variances of the noise's parts; so the
expectation is (tokens / T) · exp(σ² / 2).
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

from bench_deepspeed.benchmarks.common.scenario import MAX_TOKENS, PROCESSES, PROMPT, REPETITIONS
from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.engines.base import Load
from bench_deepspeed.measure.records import Result, Run, Sample, Scenario
from bench_deepspeed.measure.statistics import LEVEL, Interval, speed_interval
from bench_deepspeed.measure.stopping import MAX_PROCESSES, enough, repetitions, warm_ups
from bench_deepspeed.simulations import command
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.state import Worker

EVIDENCE = RESULTS / "simulations" / "coverage.json"
RUNS = 1000
WARM_S = 4.0  # of 512 tokens: what a 7B model takes
COLD = [1.0 + 2.0 * 0.3**call for call in range(12)]  # the first call takes three times as long, then less and less
QUIET = {"independent": 0.0, "autocorrelated": 0.0, "autocorrelation": 0.0, "between": 0.0}
NOISES = {
    "independent": {**QUIET, "independent": 0.05},
    "autocorrelated": {**QUIET, "autocorrelated": 0.05, "autocorrelation": 0.7},
    "between processes": {**QUIET, "independent": 0.05, "between": 0.04},
    "all together": {"independent": 0.04, "autocorrelated": 0.03, "autocorrelation": 0.7, "between": 0.04},
}
TARGET_CI = 0.03


def default_scenario(target_ci: float | None = None) -> Scenario:
    """A run with the defaults of a GPU, on the fake engine."""
    return Scenario(
        model="llama",
        engine="fake",
        device="cpu",
        precision="float32",
        weights="pretrained",
        prompt=PROMPT,
        max_tokens=MAX_TOKENS["cuda"],
        processes=PROCESSES,
        repetitions=REPETITIONS["cuda"],
        warmups=None,
        seed=0,
        target_ci=target_ci,
        time_budget_s=math.inf if target_ci else None,
    )


def truth(noise: dict) -> float:
    """The expectation of tokens/s; see the module."""
    variance = sum(noise[part] ** 2 for part in ("independent", "autocorrelated", "between"))
    return MAX_TOKENS["cuda"] / WARM_S * math.exp(variance / 2)


def simulate(scenario: Scenario, noise: dict, seed: str) -> Interval:
    """One run, process after process, and the interval that it would report."""
    result = Result(scenario)
    while enough(result, elapsed_s=0.0, leave_out=False) is None:
        run = Run()
        result.runs.append(run)
        behaviour = {
            "virtual": True,
            "seconds": [WARM_S * factor for factor in COLD] + [WARM_S],
            "noise": {**noise, "seed": f"{seed}, process {len(result.runs)}"},
        }
        generate = _generations(scenario, behaviour)
        for step in (warm_ups(generate, run, scenario.warmups), repetitions(generate, run, scenario.repetitions)):
            for _ in step:
                pass
    return speed_interval(result)


def _generations(scenario: Scenario, behaviour: dict) -> Callable[[], Sample]:
    """A worker that has loaded the fake engine, as a callable; in this process, with no socket between."""
    worker = Worker(lambda label, done, total: None)
    settings = Load(None, scenario.device, scenario.precision, Path(), [scenario.prompt], scenario.max_tokens)
    os.environ["BENCH_FAKE"] = json.dumps(behaviour)
    tasks.load(worker, scenario.engine, settings)
    del os.environ["BENCH_FAKE"]
    return lambda: tasks.generate(worker, scenario.prompt, scenario.max_tokens)


def study(name: str, noise: dict, runs: int, target_ci: float | None = None, first: int = 0) -> dict:
    """Simulate so many runs, and count the intervals that hold the truth. `first` numbers the seeds."""
    configuration, true = default_scenario(target_ci), truth(noise)
    intervals = [simulate(configuration, noise, f"{name}, run {number}") for number in range(first, first + runs)]
    return {
        "name": name,
        "noise": noise,
        "target_ci": target_ci,
        "seeds": f"{name}, run {first} … {first + runs - 1}, process 1 …",
        "truth": round(true, 6),
        "runs": runs,
        "covered": sum(interval.low <= true <= interval.high for interval in intervals),
        "mean_of_means": round(fmean(interval.mean for interval in intervals), 6),
        "mean_processes": round(fmean(interval.n for interval in intervals), 6),
        "mean_relative_half_width": round(fmean(interval.relative for interval in intervals), 6),
    }


def evidence(runs: int = RUNS) -> dict:
    """All that is published: every noise with the defaults, and the last one also where a target ends the run."""
    rows = [study(name, noise, runs) for name, noise in NOISES.items()]
    name = "all together"
    rows.append(study(name, NOISES[name], runs, TARGET_CI))
    return {**settings(), "rows": rows}


def settings() -> dict:
    """What all rows have in common."""
    scenario = default_scenario()
    return {
        "level": LEVEL,
        "processes": scenario.processes,
        "repetitions": scenario.repetitions,
        "max_processes": MAX_PROCESSES,
        "max_tokens": scenario.max_tokens,
        "warm_s": WARM_S,
        "cold": COLD,
    }


if __name__ == "__main__":
    sys.exit(command("coverage", __doc__, EVIDENCE, evidence))
