"""One request at a time, in the order of arrival: what an engine without batching does under load."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bench_deepspeed.benchmarks.load.records import Request
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load, Streamed

from .base import Setup, Target


class SequentialTarget(Target):
    name = "sequential"
    summary = "an engine in a process of its own that serves one request at a time"
    service = "sequential service: one request at a time, in the order of arrival; no batching"
    engine = None
    splits = True

    def open(self, setup: Setup, progress: Progress) -> None:
        from bench_deepspeed.worker.client import WorkerProcess

        self._worker = WorkerProcess(setup.log_folder / "engine.log", progress)
        self._worker.__enter__()
        settings = Load(
            setup.folder,
            setup.device,
            setup.precision,
            setup.log_folder,
            prompts=[],
            max_tokens=setup.max_tokens,
            batches=((1, setup.tokens),),
            streaming=engine_class(setup.engine).streams_in_own_process,
            tensor_parallel=setup.tensor_parallel,
        )
        self._loaded = self._worker.load(setup.engine, settings)
        self._queue = ThreadPoolExecutor(max_workers=1)  # serves in the order of arrival

    def send(self, request: Request) -> Streamed:
        return self._queue.submit(self._stream, request).result()

    def _stream(self, request: Request) -> Streamed:
        from bench_deepspeed.worker import tasks

        # perf_counter is the system's monotonic clock: the same in both processes.
        return self._worker.call(tasks.stream, request.prompt, request.max_tokens)

    def describe(self) -> dict:
        return self._loaded.engine.facts

    def close(self) -> None:
        self._worker.__exit__(BenchError, None, None)  # killed: it may be busy with a request that was abandoned
