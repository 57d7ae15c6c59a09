"""MII's asynchronous pipeline in the generator's own process: no server, no network between."""

from __future__ import annotations

import time

from bench_deepspeed.benchmarks.load.records import Request
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load, Streamed

from .base import Setup, Target
from .kv_admission import KvAdmission


class AsyncTarget(Target):
    name = "async"
    summary = "MII's asynchronous pipeline, in the load generator's process"
    service = "continuous batching; the pipeline's thread shares one Python process with the load generator"
    engine = "mii"

    def open(self, setup: Setup, progress: Progress) -> None:
        self._engine = engine_class(self.engine)()
        self._engine.load(
            Load(
                folder=setup.folder,
                device=setup.device,
                precision=setup.precision,
                log_folder=setup.log_folder,
                prompts=[],
                max_tokens=setup.max_tokens,
                streaming=True,
                concurrent=True,
            ),
            progress,
        )
        self.kv_admission = KvAdmission(*self._engine.kv_pool())
        self.engine_threads = frozenset([self._engine.pipeline.thread.native_id])

    def send(self, request: Request) -> Streamed:
        # put and get in the thread that calls, one stream a thread: MII's result queues are per thread.
        return self._engine.stream(request.prompt, request.max_tokens, time.perf_counter)

    def describe(self) -> dict:
        return self._engine.describe().facts

    def close(self) -> None:
        self._engine.close()
