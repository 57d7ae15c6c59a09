"""The worker's side of a sweep: the prompts of a batch, and its generations, timed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines.base import Engine, Generation
from bench_deepspeed.measure.records import Reading, Sample

LABEL = "batch of {} × ({} + {} tokens)"

Timed = Callable[..., tuple[list[Generation], float, Reading | None]]
"""`worker.Worker._timed`: a call and its arguments → what it returned, its seconds, the machine after it."""


def measure(
    engine: Engine,
    timed: Timed,
    *,
    batch_size: int,
    prompt_tokens: int,
    max_tokens: int,
    warmups: int,
    repetitions: int,
    seed: int,
    progress: Progress,
) -> dict[str, list[dict]]:
    """Generations of one token ("prefill") and of `max_tokens` ("total") after the same prompts, in turn.

    Returns the samples' fields. Raises BenchError when any sequence has another number of tokens than asked for.
    """
    rows = prompts(engine.vocabulary(), batch_size, prompt_tokens, seed)
    lengths = {"prefill": 1, "total": max_tokens}
    samples: dict[str, list[dict]] = {name: [] for name in lengths}
    label, rounds = LABEL.format(batch_size, prompt_tokens, max_tokens), warmups + repetitions
    for done in range(rounds):
        progress(label, done, rounds)
        for name, new_tokens in lengths.items():
            generations, seconds, reading = timed(engine.generate_batch, rows, new_tokens)
            _require_exact(generations, rows, new_tokens)
            if done >= warmups:
                samples[name].append(dataclasses.asdict(Sample(seconds, prompt_tokens, new_tokens, reading)))
    progress(label, rounds, rounds)
    return samples


def prompts(vocabulary: list[int], batch_size: int, prompt_tokens: int, seed: int) -> list[list[int]]:
    """Token ids drawn from the vocabulary, the same for the same numbers.

    No two sequences begin with the same token, so none has a beginning in common that an engine could share.
    Raises BenchError when there are more sequences than tokens to begin with.
    """
    if batch_size > len(vocabulary):
        raise BenchError(f"a batch of {batch_size} needs as many first tokens, and there are {len(vocabulary)}")
    draw = random.Random(f"{seed} {batch_size} {prompt_tokens}")
    firsts = draw.sample(vocabulary, batch_size)
    return [[first, *draw.choices(vocabulary, k=prompt_tokens - 1)] for first in firsts]


def _require_exact(generations: list[Generation], rows: list[list[int]], new_tokens: int) -> None:
    if len(generations) != len(rows):
        raise BenchError(f"void: {len(generations)} answers to {len(rows)} prompts")
    wanted = (len(rows[0]), new_tokens)
    for number, generation in enumerate(generations, 1):
        counted = (generation.prompt_tokens, generation.new_tokens)
        if counted != wanted:
            raise BenchError(
                f"void: sequence {number} of {len(rows)} has {counted[0]} + {counted[1]} tokens, "
                f"{wanted[0]} + {wanted[1]} were asked for"
            )
