"""Noises of the coverage study, each with the tokens/s that is true under it: total tokens over total time, for good.

A generation takes the warm time T, times exp(X) of the fake engine's own `Noise`, times a factor of the machine. X is
normal with mean 0 and variance σ², the sum of the variances of its parts, so its own expectation is exp(σ² / 2); times
that of the machine's factor it is `slowdown`, and tokens ∕ (T · slowdown) is true.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

from bench_deepspeed.engines.fake import Noise
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.speed import process_seconds

Factors = Callable[[int, int], list[float]]
"""From the number of generations that the machine has behind it, and how many follow: the factor of each of these."""
Machine = Callable[[random.Random], Factors]
"""The factors of one run, drawn from its seed. It is asked once for each process."""


def _even(draw: random.Random) -> Factors:
    return lambda start, count: [1.0] * count


@dataclass(frozen=True)
class NoiseModel:
    """One noise: the parts of the fake engine's own, the machine's factors with their expectation, and in words.

    `finish` changes the repetitions of a finished run. `seen_from` is the number of processes that can resolve it,
    None for no number.
    """

    words: str
    own: dict[str, float]
    machine: Machine = _even
    machine_mean: float = 1.0
    finish: Callable[[Result], None] = field(default=lambda result: None)
    seen_from: int | None = 3

    @property
    def slowdown(self) -> float:
        """The expectation of a generation's time over T."""
        variance = sum(self.own.get(part, 0.0) ** 2 for part in ("independent", "autocorrelated", "between"))
        return math.exp(variance / 2) * self.machine_mean


def slow_processes(share: float, slowdown: float) -> Machine:
    """Each process is slower by that factor with that probability."""
    return lambda draw: lambda start, count: [slowdown if draw.random() < share else 1.0] * count


def slow_calls(share: float, slowdown: float) -> Machine:
    """So is each generation."""
    return lambda draw: lambda start, count: [slowdown if draw.random() < share else 1.0 for _ in range(count)]


def wandering(deviation: float, follows: float) -> Machine:
    """An AR(1) on the logarithm that goes on from process to process."""

    def machine(draw: random.Random) -> Factors:
        noise = Noise(seed=draw.getrandbits(64), autocorrelated=deviation, autocorrelation=follows)
        path: list[float] = []

        def factors(start: int, count: int) -> list[float]:
            path.extend(noise.factor(0) for _ in range(start + count - len(path)))
            return path[start : start + count]

        return factors

    return machine


def warming(rise: float, generations: float) -> Machine:
    """Slower by up to `rise`, approached as a body warms: 1 − 1 ∕ e of it after so many generations."""
    return lambda draw: (
        lambda start, count: [
            1 + rise * (1 - math.exp(-number / generations)) for number in range(start, start + count)
        ]
    )


def agreeing(ratio: float) -> Callable[[Result], None]:
    """Move the processes' means together until their variance is that ratio (F) of what the repetitions bear."""

    def finish(result: Result) -> None:
        groups = process_seconds(result)
        means = [fmean(group) for group in groups]
        middle, size = fmean(means), len(groups[0])
        within = fmean(sum((x - m) ** 2 for x in group) / (size - 1) for group, m in zip(groups, means, strict=True))
        between = size * sum((m - middle) ** 2 for m in means) / (len(means) - 1)
        kept = math.sqrt(ratio * within / between)
        for run, mean in zip(result.runs, means, strict=True):
            moved = (1 - kept) * (middle - mean)
            run.samples = [dataclasses.replace(s, seconds=s.seconds + moved) for s in run.samples]

    return finish


TENTH, QUARTER = 1 / 0.9, 1 / 0.75
"""Slowdowns of what has a tenth, a quarter, less tokens/s."""
STEADY = {"independent": 0.01}
MODELS = {
    "quiet": NoiseModel("independent 1%, between processes 0.5%", {"independent": 0.01, "between": 0.005}),
    "independent": NoiseModel("independent 5%", {"independent": 0.05}),
    "autocorrelated": NoiseModel("AR(1) in each process 5%, ρ = 0.7", {"autocorrelated": 0.05, "autocorrelation": 0.7}),
    "between processes": NoiseModel("independent 5%, between processes 4%", {"independent": 0.05, "between": 0.04}),
    "all together": NoiseModel(
        "independent 4%, AR(1) 3%, ρ = 0.7, between processes 4%",
        {"independent": 0.04, "autocorrelated": 0.03, "autocorrelation": 0.7, "between": 0.04},
    ),
    "means agree too well": NoiseModel(
        "independent 6.5%, the processes' means moved together until F = 0.004",
        {"independent": 0.065},
        finish=agreeing(0.004),
    ),
    "some slow processes": NoiseModel(
        "independent 1%, 30% of the processes 10% slower",
        STEADY,
        slow_processes(0.3, TENTH),
        1 + 0.3 * (TENTH - 1),
        seen_from=10,
    ),
    "few slow processes": NoiseModel(
        "independent 1%, 10% of the processes 25% slower",
        STEADY,
        slow_processes(0.1, QUARTER),
        1 + 0.1 * (QUARTER - 1),
        seen_from=30,
    ),
    "rare slow calls": NoiseModel(
        "independent 1%, 2% of the generations take 5 times as long", STEADY, slow_calls(0.02, 5), 1.08, seen_from=60
    ),
    "machine wanders": NoiseModel(
        "independent 1%, AR(1) of the machine 5%, ρ = 0.99",
        STEADY,
        wandering(0.05, 0.99),
        math.exp(0.05**2 / 2),
        seen_from=None,
    ),
    "machine warms": NoiseModel(
        "independent 1%, up to 10% slower, two thirds of it after 80 generations",
        STEADY,
        warming(0.1, 80),
        1.1,
        seen_from=None,
    ),
}
