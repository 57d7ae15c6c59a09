"""The prompts of a process's timed generations."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator

from bench_deepspeed.measure.records import Run, Scenario
from bench_deepspeed.measure.stopping import MAX_WARMUPS
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess


def timed_prompts(worker: WorkerProcess, scenario: Scenario, run: Run) -> tuple[Iterator[str], Iterator[str]]:
    """Prompts of the warm-ups and of the repetitions: each its own where they are varied, else the scenario's.

    Those of the repetitions depend on the tokenizer, the prompt and the seed alone, so that they are the same in each
    process and for each engine of a model; their digest is noted in the run. Raises BenchError where the words of the
    prompt are too few.
    """
    if not scenario.varied:
        same = itertools.repeat(scenario.prompt)
        return same, same
    count = scenario.repetitions
    made = worker.call(tasks.vary, scenario.prompt, count + max(MAX_WARMUPS, scenario.warmups or 0), scenario.seed)
    run.prompts_sha256 = hashlib.sha256(json.dumps(made[:count]).encode()).hexdigest()
    return iter(made[count:]), iter(made[:count])
