"""The worker's side of a sweep: the prompts of a batch, and its generations, timed."""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass, field

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.engines.base import Engine, Generation
from bench_deepspeed.measure.records import Memory, Sample
from bench_deepspeed.worker.answered import Read, read
from bench_deepspeed.worker.audit import ANSWERS, largest_gap_of
from bench_deepspeed.worker.state import Worker

from .records import BatchCheck

LABEL = "batch of {} × ({} + {} tokens)"


@dataclass
class BatchTimes:
    """Generations of one token, and of all, after the same prompts, interleaved; tokens are those of each sequence."""

    prefill: list[Sample] = field(default_factory=list)
    total: list[Sample] = field(default_factory=list)
    check: BatchCheck | None = None
    """Of the generations of all tokens; None for an engine that keeps none."""
    memory: Memory | None = None
    failed: bool = False
    """The check or the memory raised an error: this engine is not to be used again."""


def measure(
    worker: Worker,
    *,
    batch_size: int,
    prompt_tokens: int,
    max_tokens: int,
    warmups: int,
    repetitions: int,
    seed: int,
    with_memory: bool = False,
) -> BatchTimes:
    """Generations of one token and of `max_tokens` after the same prompts, interleaved; then, where asked, the memory.

    Raises BenchError when any sequence has another number of tokens than requested.
    """
    rows = prompts(worker.engine.vocabulary(), batch_size, prompt_tokens, seed)
    times, answered = BatchTimes(), []
    label, rounds = LABEL.format(batch_size, prompt_tokens, max_tokens), warmups + repetitions
    for done in range(rounds):
        worker.progress(label, done, rounds)
        for new_tokens, samples in ((1, times.prefill), (max_tokens, times.total)):
            timed = worker.timed(worker.engine.generate_batch, rows, new_tokens)
            if samples is times.total:
                answered.append([read(generation.ids) for generation in timed.result])
            _require_exact(timed.result, rows, new_tokens)
            if done >= warmups:
                samples.append(Sample(timed.seconds, prompt_tokens, new_tokens, timed.reading, timed.host_s))
    worker.progress(label, rounds, rounds)
    try:
        times.check = check(worker.engine, rows, answered)
        times.memory = memory_of(worker.engine, rows, max_tokens) if with_memory else None
    except Exception:  # of whatever library the engine is: what was timed stands, and is marked as not checked
        traceback.print_exc()
        times.failed = True
    return times


def memory_of(engine: Engine, rows: list[list[int]], max_tokens: int) -> Memory:
    """One generation that is not timed, and the bytes by part at its peak."""
    engine.synchronize()
    engine.reset_memory_peak()
    engine.generate_batch(rows, max_tokens)
    engine.synchronize()
    return engine.memory()


def check(engine: Engine, rows: list[list[int]], answered: list[list[Read]]) -> BatchCheck | None:
    """Check the generations after these prompts: each a list of its sequences' token ids and seconds of reading them.

    Two sequences of one of them, chosen at random now, are compared with logits of that sequence alone. None for an
    engine that keeps no tokens.
    """
    ids = [[kept for kept, _ in sequences if kept is not None] for sequences in answered]
    if any(len(sequences) < len(rows) for sequences in ids):
        return None
    drawn, answers = sorted(random.sample(range(len(rows)), min(ANSWERS, len(rows)))), random.choice(ids)
    return BatchCheck(
        fewest_tokens=min(len(kept) for sequences in ids for kept in sequences),
        read_s=max(sum(seconds for _, seconds in sequences) for sequences in answered),
        rows=drawn,
        token_ids=[answers[row] for row in drawn],
        gaps=[largest_gap_of(engine, rows[row], answers[row]) for row in drawn],
    )


def prompts(vocabulary: list[int], batch_size: int, prompt_tokens: int, seed: int) -> list[list[int]]:
    """Token ids drawn from the vocabulary, the same for the same numbers.

    No two sequences begin with the same token, so they have no common prefix that an engine could share.
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
                f"{wanted[0]} + {wanted[1]} were requested"
            )
