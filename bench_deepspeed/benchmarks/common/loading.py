"""The loading times and the engine's description, recorded in a result."""

from __future__ import annotations

from bench_deepspeed.measure.records import Result, Run
from bench_deepspeed.worker.tasks import Loaded


def record_loading(result: Result, run: Run, loaded: Loaded) -> None:
    """Record the seconds of one process in its run, and the engine's description in the result."""
    run.load_s, run.kernel_build_s, run.compile_s = loaded.load_s, loaded.kernel_build_s, loaded.compile_s
    result.engine = loaded.engine
