"""The worker's side of a self-test: generations timed by the suite, and by a bare loop around the library's call."""

from __future__ import annotations

import time

from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.state import Worker

from .records import TimedBlock


def interleaved(worker: Worker, prompt: str, max_tokens: int) -> TimedBlock:
    """Four generations in the order ABBA: A by `tasks.generate`, B by a bare loop around the library."""
    engine = worker.engine

    def harness() -> float:
        return tasks.generate(worker, prompt, max_tokens).seconds

    def bare() -> float:
        started = time.perf_counter()
        engine.library_call(prompt, max_tokens)
        engine.synchronize()
        return time.perf_counter() - started

    seconds = [generation() for generation in (harness, bare, bare, harness)]
    return TimedBlock(seconds[::3], seconds[1:3])


def nested(worker: Worker, prompt: str, max_tokens: int) -> TimedBlock:
    """One generation by `tasks.generate`, and what the library's call took within it."""
    engine, call, inner_s = worker.engine, worker.engine.library_call, []

    def timed_call(*arguments):
        started = time.perf_counter()
        result = call(*arguments)
        inner_s.append(time.perf_counter() - started)
        return result

    vars(engine)["library_call"] = timed_call  # in front of the class's own
    try:
        harness_s = [tasks.generate(worker, prompt, max_tokens).seconds]
    finally:
        del vars(engine)["library_call"]
    return TimedBlock(harness_s, inner_s)
