"""Whether a model fits the memory of its device, checked before 13 GB or more are fetched."""

from __future__ import annotations

from bench_deepspeed import weights
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.units import gigabytes
from bench_deepspeed.machine import environment
from bench_deepspeed.model.catalog import ModelSpec

from .scenario import WORKSPACE_BYTES


def require_memory(spec: ModelSpec, want: weights.Want, device: str, ranks: int = 1) -> None:
    """Raise MachineError where a device's whole memory is less than the weights and everything else that a process
    needs. On GPUs each rank holds its part of the weights; on a CPU all parts are in one memory."""
    parts = ranks if device == "cuda" else 1
    there, needed = _memory_bytes(device), needed_bytes(spec, want.form, want.precision, parts)
    if there is not None and needed > there:
        raise MachineError(
            f"{spec.name}, loaded in {want.precision}, takes {gigabytes(needed)} of memory and the {device} has "
            f"{gigabytes(there)}: use a smaller --precision, another --model_name or a larger machine"
        )


def needed_bytes(spec: ModelSpec, form: str | None, precision: str, parts: int = 1) -> int:
    """What a process takes at least that holds one of so many parts of the model's weights, as an engine of this form
    holds them, and all else."""
    return weights.loaded_bytes(spec, form, precision) // parts + WORKSPACE_BYTES


def _memory_bytes(device: str) -> int | None:
    """The memory of the largest GPU, or of the host as far as a container may use it; None where it is not known."""
    if device == "cpu":
        return environment.memory_bytes()
    return max((gpu.memory_mib << 20 for gpu in environment.gpus()), default=None)
