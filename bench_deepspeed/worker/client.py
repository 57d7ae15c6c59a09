"""The parent's side of a worker process: the process that holds an engine."""

from __future__ import annotations

from bench_deepspeed.core.ports import RANKS_LISTEN
from bench_deepspeed.core.progress_bars import note_once
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load

from . import tasks
from .process import Pending, Process, Rank


class WorkerProcess(Process):
    """A process of its own for everything that imports torch: preparing weights, and one engine."""

    def load(self, engine: str, settings: Load) -> tasks.Loaded:
        """Have an engine loaded; see `tasks.load`. Reports on stderr what it opens to other machines."""
        return self.send_load(engine, settings).result()

    def send_load(self, engine: str, settings: Load) -> Pending[tasks.Loaded]:
        """Have an engine loaded, as `load` does, while this process goes on."""
        if listens := engine_class(engine).listens:
            note_once(listens)
        if settings.tensor_parallel > 1:
            self.rank = Rank(0, settings.tensor_parallel)
            if engine_class(engine).form is not None:
                note_once(RANKS_LISTEN)
        return self.send(tasks.load, engine, settings)
