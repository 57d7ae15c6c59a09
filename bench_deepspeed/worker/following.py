"""What rank 0 has the other ranks do: load the same engine, and run each of its calls at the same time."""

from __future__ import annotations

from typing import Any

from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load
from bench_deepspeed.machine.probe import NoProbe
from bench_deepspeed.measure.records import Memory

from .state import LoadedEngine, Worker


def ready(worker: Worker) -> None:
    """Answer: the process is up."""


def load(worker: Worker, engine: str, settings: Load) -> None:
    """Join the other ranks and load an engine with them."""
    loaded = engine_class(engine)()
    worker.keep(loaded)
    loaded.join(settings)
    loaded.load(settings, worker.progress)
    loaded.synchronize()
    worker.use(LoadedEngine(loaded, settings.device, NoProbe()))


def hold(worker: Worker, prompts: list[list[int]]) -> None:
    """Keep the prompts of the batches that follow: they are too long to be sent while a generation is timed."""
    worker.held_prompts = prompts


def generate_batch(worker: Worker, max_tokens: int) -> None:
    """A batch of the prompts that are held."""
    worker.engine.follow("generate_batch", worker.held_prompts, max_tokens)


def follow(worker: Worker, method: str, arguments: list[Any]) -> None:
    """A call of the engine, whose result rank 0 has as well."""
    worker.engine.follow(method, *arguments)


def memory(worker: Worker) -> Memory:
    """This rank's memory since its peaks were reset."""
    return worker.engine.memory()
