"""The device's limits, measured in a separate process while no engine is loaded."""

from __future__ import annotations

from collections.abc import Callable

from bench_deepspeed.core.progress_bars import Bars
from bench_deepspeed.machine.limits import LABEL
from bench_deepspeed.measure.records import Limits
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess


def measure_limits(
    device: str, precision: str, worker: Callable[[], WorkerProcess], bars: Bars, ranks: int = 1
) -> Limits:
    """Measure them in a precision, of the devices of so many ranks together; takes a few seconds.

    Raises MachineError where the device cannot be used.
    """
    with worker() as process, bars.spinner(LABEL):
        return process.call(tasks.measure_limits, device, precision, ranks)
