"""How often `bench.sh ab` shows a difference where there is none, and how often it shows one that exists.

    python -m bench_deepspeed.simulations.ab [--check]

Simulates whole comparisons: warm-ups, the drawn order of the rounds and the verdict are those of a real one; only a
generation's time is simulated, as T ∕ ratio · cold · exp(X), where X is a sum of the parts of a noise. The parts
"independent", "autocorrelated" and "between" are each process's own, as the fake engine's `Noise` draws them; the
parts of the machine affect both sides, one generation after the other: "machine" is autocorrelated, and "drift" is
how much slower it becomes over the rounds of each pair, which starts again with the next.

For comparison, the usual way: one process of A, then one of B on the same machine, ten repetitions each, and Welch's
t-test (B. L. Welch, 1947) at the same level.
"""

from __future__ import annotations

import math
import sys
from statistics import fmean

from bench_deepspeed.benchmarks.ab import estimate, rounds
from bench_deepspeed.benchmarks.ab.records import SIDES, AbResult, Round
from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.engines.fake import Noise
from bench_deepspeed.measure.distributions import LEVEL
from bench_deepspeed.measure.records import Result, Run, Sample
from bench_deepspeed.measure.stopping import Generate, warm_ups
from bench_deepspeed.simulations import command

from .coverage import COLD, WARM_S, default_scenario

EVIDENCE = RESULTS / "simulations" / "ab.json"
TRIALS = 2000
ROUNDS = 10
PAIRS = 5
MACHINE_FOLLOWS = 0.9
"""Coefficient of the machine's AR(1): what slows a generation slows the next ones too."""
SEEN = math.log(116 / 85)
"""Of the time of one and the same call, repeated on an H100: from 116 to 85 tokens/s."""
QUIET = {
    "independent": 0.0,
    "autocorrelated": 0.0,
    "autocorrelation": 0.0,
    "between": 0.0,
    "machine": 0.0,
    "drift": 0.0,
}
NOISES = {
    "independent": {**QUIET, "independent": 0.03},
    "autocorrelated": {**QUIET, "autocorrelated": 0.03, "autocorrelation": 0.7},
    "drift": {**QUIET, "independent": 0.03, "machine": 0.05, "drift": SEEN},
    "between processes": {**QUIET, "independent": 0.03, "between": 0.025},
    "all together": {
        "independent": 0.03,
        "autocorrelated": 0.02,
        "autocorrelation": 0.7,
        "between": 0.025,
        "machine": 0.05,
        "drift": SEEN,
    },
}
FASTER = 1.03
"""B ∕ A where there is a difference."""
POWER_PAIRS = (5, 10, 20, 30)


class Machine:
    """What affects both sides: the n-th generation since a pair started is slower by the n-th factor."""

    def __init__(self, noise: dict, seed: str):
        follows = {"autocorrelated": noise["machine"], "autocorrelation": MACHINE_FOLLOWS}
        self._noise = Noise(seed=seed, drift=noise["drift"] / (2 * ROUNDS), **follows)
        self._generations = 0

    def factor(self) -> float:
        self._generations += 1
        return self._noise.factor(self._generations)


def generation(noise: dict, seed: str, speed: float, machine: Machine) -> Generate:
    """A process that has loaded: each call is a generation, `speed` times as fast as the plain one."""
    own = Noise(
        seed=seed, **{part: noise[part] for part in ("independent", "autocorrelated", "autocorrelation", "between")}
    )
    calls = iter(range(10**9))
    tokens = default_scenario().max_tokens

    def generate() -> Sample:
        call = next(calls)
        cold = COLD[call] if call < len(COLD) else 1.0
        return Sample(WARM_S / speed * cold * own.factor(call) * machine.factor(), 8, tokens)

    return generate


def simulate(noise: dict, ratio: float, pairs: int, seed: str) -> AbResult:
    """One comparison, pair after pair."""
    scenario = default_scenario()
    result = AbResult(Result(scenario), Result(scenario), {})
    speeds = {"A": 1.0, "B": ratio}
    for pair in range(1, pairs + 1):
        machine = Machine(noise, f"{seed}, machine {pair}")
        generate = {side: generation(noise, f"{seed}, {side} {pair}", speeds[side], machine) for side in SIDES}
        runs = {side: Run() for side in SIDES}
        for _ in rounds.warm_up(generate, runs, None):
            pass
        result.rounds.append([])
        for order in rounds.orders(ROUNDS, seed, pair):
            rounds.keep_round(rounds.time_round(order, generate), runs)
            result.rounds[-1].append(Round(order, {}))
        for side, side_result in result.sides.items():
            side_result.runs.append(runs[side])
    return result


def one_after_the_other(noise: dict, ratio: float, seed: str) -> str | None:
    """The side that the usual way calls faster; None where the difference is not significant."""
    from scipy.stats import ttest_ind

    machine = Machine(noise, f"{seed}, machine 0")
    speeds = []
    for side, speed in zip(SIDES, (1.0, ratio), strict=True):
        generate, run = generation(noise, f"{seed}, {side} 0", speed, machine), Run()
        for _ in warm_ups(generate, run, None):
            pass
        speeds.append([generate().tokens_per_s for _ in range(ROUNDS)])
    if ttest_ind(*speeds, equal_var=False).pvalue >= 1 - LEVEL:
        return None
    return "B" if fmean(speeds[1]) > fmean(speeds[0]) else "A"


def study(name: str, noise: dict, ratio: float, pairs: int, *, trials: int, first: int = 0) -> dict:
    """Simulate so many comparisons, and count their verdicts. `first` numbers the seeds."""
    seeds = [f"{name}, trial {number}" for number in range(first, first + trials)]
    intervals = [estimate.ratio(estimate.log_ratios(simulate(noise, ratio, pairs, seed))) for seed in seeds]
    winners = [estimate.faster(interval) for interval in intervals]
    usual = [one_after_the_other(noise, ratio, seed) for seed in seeds]
    nothing = winners.count(None)
    return {
        "name": name,
        "noise": noise,
        "ratio": ratio,
        "pairs": pairs,
        "seeds": f"{name}, trial {first} … {first + trials - 1}",
        "trials": trials,
        "nothing": nothing,
        "nothing_interval": clopper_pearson(nothing, trials),
        "faster": winners.count("B"),
        "slower": winners.count("A"),
        "covered": sum(interval.low <= ratio <= interval.high for interval in intervals),
        "mean_half_width": round(fmean(interval.half_width for interval in intervals), 6),
        "usual_faster": usual.count("B"),
        "usual_slower": usual.count("A"),
    }


def clopper_pearson(successes: int, trials: int) -> list[float]:
    """The exact 95% interval of a probability (C. Clopper and E. Pearson, Biometrika 26, 1934)."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(LEVEL, method="exact")
    return [round(float(bound), 6) for bound in interval]


def evidence(trials: int = TRIALS) -> dict:
    """All that is published: equal sides under every noise, and a faster B under all of it."""
    rows = [study(name, noise, 1.0, PAIRS, trials=trials) for name, noise in NOISES.items()]
    name = "all together"
    rows += [study(name, NOISES[name], FASTER, pairs, trials=trials) for pairs in POWER_PAIRS]
    return {**settings(), "rows": rows}


def settings() -> dict:
    """What all rows have in common."""
    return {"level": LEVEL, "rounds": ROUNDS, "warm_s": WARM_S, "cold": COLD, "machine_follows": MACHINE_FOLLOWS}


if __name__ == "__main__":
    sys.exit(command("ab", __doc__, EVIDENCE, evidence))
