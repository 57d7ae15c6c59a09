"""The weights made ready before a measurement, in a process of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench_deepspeed.core.progress_bars import Bars
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import Want
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from .memory import require_memory

LABEL = "checking the weights"


def prepare(
    model: dict,
    name: str,
    want: Want | None,
    *,
    models_dir: Path,
    worker: Callable[[], WorkerProcess],
    bars: Bars,
    label: str = LABEL,
    device: str | None = None,
    ranks: int = 1,
) -> Path | None:
    """Have a model's weights made ready. Returns their folder, None where none are wanted.

    Where a `device` is named that cannot hold them, or each of `ranks` its part, nothing is fetched: MachineError.

    `model` is its description in a result, filled as it becomes known. Raises WeightsError and MachineError as
    `weights.prepare` does.
    """
    spec = catalog.load(name)
    model |= {"name": spec.name, "title": spec.title, "licence": spec.licence, "parameters": spec.parameters}
    if want is None:
        return None
    if device is not None:
        require_memory(spec, want, device, ranks)
    with worker() as process, bars.spinner(label):
        ready = process.call(tasks.prepare_weights, models_dir.absolute(), spec.name, want)
    model |= {"digest": ready.digest, "note": spec.note, **ready.facts}
    return ready.folder
