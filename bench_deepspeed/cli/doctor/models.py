"""Checks of the models: whether their weights are there, or have room on the disk and in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.common.memory import needed_bytes
from bench_deepspeed.benchmarks.common.scenario import MODEL
from bench_deepspeed.core.capabilities import DEFAULT
from bench_deepspeed.core.units import gigabytes
from bench_deepspeed.engines import DEFAULT_ENGINES, engine_class
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.records import Gpu
from bench_deepspeed.model.catalog import ModelSpec

from .line import BLOCKER, MISSING, OK, Line
from .machine import suits_mii

PLACES = {"cuda": "the GPU", "cpu": "the cpu"}


def memory_bytes(device: str, gpus: list[Gpu]) -> int:
    """The memory that a model has to fit in: the largest GPU's, or the machine's, as far as a container may use it."""
    if device == "cuda":
        return max(gpu.memory_mib for gpu in gpus if suits_mii(gpu)) << 20
    return environment.memory_bytes()


def plan(models_dir: Path, spec: ModelSpec, device: str) -> list[weights.Step]:
    """What is still to do before the device's default engine can load the pretrained model."""
    engine = engine_class(DEFAULT_ENGINES[device])
    return weights.plan(models_dir, spec, weights.Want("pretrained", engine.form, DEFAULT[device], 0))


def check_folder(name: str, folder: Path, flag: str, otherwise: str) -> Line:
    """Whether files can be made in a folder, or in the one that it would be made in."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):  # has no name: nothing is left, even by a kill
            return Line(OK, name, str(folder))
    except OSError as error:
        return Line(otherwise, name, f"cannot write to {folder} ({error.strerror})", f"name another with {flag}")


def _existing(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if os.access(path, os.F_OK))


def check_model(spec: ModelSpec, steps: list[weights.Step], models_dir: Path, device: str, memory: int) -> Line:
    """Whether a model's weights are there or have room: on the disk, and in the device's memory."""
    name = check_name(spec)
    worst = BLOCKER if spec.name == MODEL["cpu"] else MISSING
    download, write = sum(step.download_bytes for step in steps), sum(step.write_bytes for step in steps)
    free = shutil.disk_usage(_existing(models_dir)).free
    detail = "weights ready"
    if steps:
        detail = f"{gigabytes(download)} to download, {gigabytes(write)} to write, {gigabytes(free)} free"
    detail += "".join(f"; {step.damage}" for step in steps if step.damage)
    if write > free:
        return Line(worst, name, detail, "make room, or name another folder with --models_dir")
    engine = engine_class(DEFAULT_ENGINES[device])
    needed = needed_bytes(spec, engine.form, DEFAULT[device])
    if needed > memory:
        detail = f"it takes {gigabytes(needed)} of memory and {PLACES[device]} has {gigabytes(memory)}"
        return Line(worst, name, detail, "use another --model_name, a smaller --precision or a larger machine")
    return Line(OK, name, detail)


def check_name(spec: ModelSpec) -> str:
    return f"model {spec.name}"
