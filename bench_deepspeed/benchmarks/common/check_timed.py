"""The check of what was timed, after the timed generations of a process and before anything else."""

from __future__ import annotations

from bench_deepspeed.core import progress_bars
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.measure.records import Result
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from .run_folder import RunFolder


def check_timed(
    recorder: RunFolder, worker: WorkerProcess, result: Result, name: str, bars: progress_bars.Bars
) -> bool:
    """Fill the audit of the result's last process, which the gate then judges.

    A check that fails to run is noted; the measurement stays valid. Returns whether the worker can be used for
    more: an engine that failed once may answer the next call with the rest of this one.
    """
    scenario = result.scenario
    try:
        with bars.spinner(f"{name}: checking the timed answers"):
            result.runs[-1].audit = worker.call(tasks.check_timed, scenario.max_tokens, scenario.seed)
    except BenchError as error:
        recorder.note(f"{name}: the timed answers were not checked: {error}", bars)
        return False
    return True
