"""The order of what is timed. The same functions run a comparison and its simulation."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping

from bench_deepspeed.measure.records import Run, Sample
from bench_deepspeed.measure.stopping import Generate, warm_ups

from .records import SIDES

GenerateBy = Mapping[str, Generate]
"""Side → its generation."""


def orders(rounds: int, seed: int | str, pair: int) -> list[str]:
    """ "AB" or "BA" for each round of a pair of processes.

    Of every two rounds one is AB and one BA, so that a steady drift of the machine's speed cancels out of
    both together; which comes first is random, so that no periodic disturbance coincides with it
    (randomized blocks, R. A. Fisher, "The Design of Experiments", 1935).
    """
    draw = random.Random(f"order {seed} {pair}")
    blocks = (draw.sample(("AB", "BA"), 2) for _ in range(-(-rounds // 2)))
    return list(itertools.chain.from_iterable(blocks))[:rounds]


def warm_up(generate: GenerateBy, runs: dict[str, Run], count: int | None) -> Iterator[tuple[str, Sample]]:
    """Warm both up, interleaved as they will be timed, until each is steady. Yields side and sample."""
    each = {side: warm_ups(generate[side], runs[side], count) for side in SIDES}
    while each:
        for side in list(each):
            sample = next(each[side], None)
            if sample is None:
                del each[side]
            else:
                yield side, sample


def time_round(order: str, generate: GenerateBy) -> dict[str, Sample]:
    """One round: each side's generation, in this order."""
    return {side: generate[side]() for side in order}


def keep_round(samples: dict[str, Sample], runs: dict[str, Run]) -> None:
    """Append the samples of a complete round to both runs; an incomplete one is left out."""
    for side, run in runs.items():
        run.samples.append(samples[side])
