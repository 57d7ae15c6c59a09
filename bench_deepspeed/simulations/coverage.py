"""How often the 95% interval covers the true value, and how often a warning says where it may not.

    python -m bench_deepspeed.simulations.coverage [--check]

Simulates whole runs with the defaults of a GPU and several numbers of processes: warm-ups, repetitions, interval and
warnings are those of a real run; only a generation's time is drawn. What the noises are, and what is true under each,
is in `noises`.
"""

from __future__ import annotations

import math
import multiprocessing
import operator
import random
import sys
from collections.abc import Callable
from statistics import fmean

from bench_deepspeed.benchmarks.common.scenario import MAX_TOKENS, PROCESSES, PROMPT, REPETITIONS
from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.engines.fake import Noise
from bench_deepspeed.measure.distributions import LEVEL
from bench_deepspeed.measure.records import EngineDescription, Result, Run, Sample, Scenario
from bench_deepspeed.measure.speed import speed_interval
from bench_deepspeed.measure.statistics import MIN_ORDERED
from bench_deepspeed.measure.stopping import FEWEST, MAX_PROCESSES, MAX_WARMUPS, enough, repetitions, warm_ups
from bench_deepspeed.measure.warnings import check
from bench_deepspeed.simulations import command

from .noises import MODELS, NoiseModel

EVIDENCE = RESULTS / "simulations" / "coverage.json"
RUNS = 1000
WARM_S = 4.0  # of 512 tokens: what a 7B model takes
COLD = [1.0 + 2.0 * 0.3**call for call in range(12)]  # the first call takes three times as long, then less and less
NUMBERS = (FEWEST, MIN_ORDERED, PROCESSES["cuda"], MAX_PROCESSES)
BETWEEN = 10
"""Generations that loading and checking a process takes the time of."""
TARGET_CI = 0.03
TARGETED = "all together"
STATISTICAL = ("drift", "drift_across", "outliers", "bimodality", "first_call")
"""Warnings of what the repetitions show; `rare_states` is of their number alone."""


def default_scenario(processes: int = PROCESSES["cuda"], target_ci: float | None = None) -> Scenario:
    """A run with the defaults of a GPU, on the fake engine."""
    return Scenario(
        model="llama",
        engine="fake",
        device="cpu",
        precision="float32",
        weights="pretrained",
        prompt=PROMPT,
        max_tokens=MAX_TOKENS["cuda"],
        processes=processes,
        repetitions=REPETITIONS["cuda"],
        warmups=None,
        seed=0,
        target_ci=target_ci,
        time_budget_s=math.inf if target_ci else None,
    )


def simulate(scenario: Scenario, noise: NoiseModel, seed: str) -> Result:
    """One run, process after process; only a generation's time is simulated, as T · cold · exp(X) · machine."""
    result = Result(scenario, engine=EngineDescription(reads_weights=False))
    factors, behind = noise.machine(random.Random(seed)), 0
    while enough(result, elapsed_s=0.0, leave_out=False) is None:
        run = Run()
        result.runs.append(run)
        own = Noise(seed=f"{seed}, process {len(result.runs)}", **noise.own)
        machine = factors(behind, MAX_WARMUPS + scenario.repetitions)
        generate = _generations(own, machine, scenario.max_tokens)
        for step in (warm_ups(generate, run, scenario.warmups), repetitions(generate, run, scenario.repetitions)):
            for _ in step:
                pass
        behind += len(run.warmups) + len(run.samples) + BETWEEN
    noise.finish(result)
    return result


def _generations(own: Noise, machine: list[float], tokens: int) -> Callable[[], Sample]:
    """A process that has loaded: each call is a generation."""
    calls = iter(range(len(machine)))

    def generate() -> Sample:
        call = next(calls)
        cold = COLD[call] if call < len(COLD) else 1.0
        return Sample(WARM_S * cold * own.factor(call) * machine[call], 8, tokens)

    return generate


def study(name: str, processes: int, runs: int, target_ci: float | None = None, first: int = 0) -> dict:
    """Simulate so many runs, and count intervals that cover the true value, and warnings. `first` numbers the seeds."""
    noise, scenario = MODELS[name], default_scenario(processes, target_ci)
    true = _truth(scenario, noise)
    intervals, wrong, warned = [], [], []
    for number in range(first, first + runs):
        result = simulate(scenario, noise, f"{name}, run {number}")
        interval = speed_interval(result)
        intervals.append(interval)
        wrong.append(not interval.low <= true <= interval.high)
        warned.append({finding.code for finding in check(result)})
    statistical = [bool(codes & set(STATISTICAL)) for codes in warned]
    numbers = ["rare_states" in codes for codes in warned]
    return {
        "name": name,
        "processes": processes,
        "target_ci": target_ci,
        "seeds": f"{name}, run {first} … {first + runs - 1}, process 1 …",
        "truth": true,
        "seen_from": noise.seen_from,
        "runs": runs,
        "covered": runs - sum(wrong),
        "warned": sum(statistical),
        "wrong_warned": sum(map(operator.and_, wrong, statistical)),
        "wrong_warned_by_number": sum(map(operator.and_, wrong, numbers)),
        "warnings": {code: sum(code in codes for codes in warned) for code in STATISTICAL},
        "mean_speed": round(fmean(interval.mean for interval in intervals), 6),
        "mean_processes": round(fmean(interval.n for interval in intervals), 6),
        "mean_relative_half_width": round(fmean(interval.relative for interval in intervals), 6),
    }


def numbers(name: str) -> list[int]:
    """The numbers of processes that a noise is studied with: those of all, and the one that can resolve it."""
    return sorted({*NUMBERS, MODELS[name].seen_from or NUMBERS[0]})


def evidence(runs: int = RUNS) -> dict:
    """All that is published: every noise with each number of processes, and one where a target ends the run."""
    cases = [(name, processes, runs, None) for name in MODELS for processes in numbers(name)]
    with multiprocessing.Pool() as pool:
        rows = pool.starmap(study, [*cases, (TARGETED, NUMBERS[0], runs, TARGET_CI)], chunksize=1)
    return {**settings(), "rows": rows}


def settings() -> dict:
    """What all rows have in common."""
    scenario = default_scenario()
    return {
        "level": LEVEL,
        "repetitions": scenario.repetitions,
        "max_processes": MAX_PROCESSES,
        "max_tokens": scenario.max_tokens,
        "warm_s": WARM_S,
        "cold": COLD,
        "between_processes": BETWEEN,
        "statistical": STATISTICAL,
        "noises": [
            {"name": name, "noise": noise.words, "truth": _truth(scenario, noise), "seen_from": noise.seen_from}
            for name, noise in MODELS.items()
        ],
    }


def _truth(scenario: Scenario, noise: NoiseModel) -> float:
    """Tokens/s of a run without end."""
    return round(scenario.max_tokens / WARM_S / noise.slowdown, 6)


if __name__ == "__main__":
    sys.exit(command("coverage", __doc__, EVIDENCE, evidence))
