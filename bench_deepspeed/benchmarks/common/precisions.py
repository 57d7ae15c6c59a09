"""Whether an engine runs in a precision here: by the table, by the model's shape, and by the machine."""

from __future__ import annotations

from bench_deepspeed.core import capabilities
from bench_deepspeed.core.capabilities import Cell
from bench_deepspeed.core.errors import MachineError, UsageError
from bench_deepspeed.core.precision import NAMES
from bench_deepspeed.engines import ENGINES
from bench_deepspeed.machine import environment, software
from bench_deepspeed.model import arithmetic
from bench_deepspeed.model.catalog import QWEN2, ModelSpec


def refusal(spec: ModelSpec, engine: str, device: str, precision: str) -> str | None:
    """Why no machine runs this model so, in words; None where some do."""
    if reason := capabilities.refusal(engine, device, precision):
        return reason
    if engine == "mii" and (reason := arithmetic.kernel_refusal(spec.shape)):
        return f"mii cannot run {spec.name}: {reason}"
    if (engine, precision, spec.shape.get("model_type")) == ("mii", "bfloat16", QWEN2):
        return (
            f"mii does not run {spec.name} in bfloat16: DeepSpeed 0.19.8 computes Qwen2 in float16 (qwen_v2/model.py)"
        )
    packing = capabilities.cell(engine, device, precision).packing
    if packing is None:
        return None
    for name, shape in arithmetic.layer_matrices(spec).items():
        if not packing.fits(shape):
            sizes, steps = (" × ".join(map(str, pair)) for pair in (shape, packing.multiples))  # outputs × inputs
            return (
                f"{engine} cannot pack {spec.name} in {precision}: {name} has {sizes} weights, which must be "
                f"multiples of {steps} ({packing.words})"
            )
    return None


def lacking(cell: Cell, precision: str) -> str | None:
    """What this machine lacks for a cell of CUDA or the CPU, in words; None where it has all."""
    return _lacking_gpu(cell) or lacking_package(cell, precision)


def _lacking_gpu(cell: Cell) -> str | None:
    there = {gpu.capability for gpu in environment.gpus()} if cell.major is not None else set()
    if cell.major is None or any(capability.split(".")[0] == str(cell.major) for capability in there):
        return None
    found = f"this GPU has {', '.join(sorted(there))}" if there else "there is no GPU here"
    return f"{cell.reason}, and {found}"


def lacking_package(cell: Cell, precision: str) -> str | None:
    """The package that a cell needs and that is not installed, in words.

    A Python that has no torch is not the one that will measure: nothing is said of its packages.
    """
    if cell.library is None or software.installed_version(cell.library) or not software.installed_version("torch"):
        return None
    return f"{precision} needs the package {cell.library}, which is not installed: pip install {cell.library}"


def require_possible(spec: ModelSpec, engine: str, device: str, precision: str) -> None:
    """Raise UsageError for what no machine runs, before anything is fetched or loaded."""
    if reason := refusal(spec, engine, device, precision):
        raise UsageError(f"--engine {reason}")


def require_here(engine: str, device: str, precision: str) -> None:
    """Raise MachineError for what this machine does not run."""
    if reason := lacking(capabilities.cell(engine, device, precision), precision):
        raise MachineError(f"--precision {precision}: {reason}")


def here(device: str) -> dict[str, dict[str, str | None]]:
    """Engine → precision → why it does not run on a device of this machine, in words; None where it does."""

    def reason(engine: str, precision: str) -> str | None:
        cell = capabilities.cell(engine, device, precision)
        return lacking(cell, precision) if cell.path else cell.reason

    return {engine: {name: reason(engine, name) for name in NAMES} for engine in ENGINES if engine != "fake"}


def runs_text(reasons: dict[str, str | None]) -> str:
    """The precisions without a reason, in a list."""
    return ", ".join(name for name, reason in reasons.items() if reason is None) or "none"


def reasons_text(reasons: dict[str, str | None]) -> str:
    """The precisions that run, and of the others why they do not: those that share a reason together."""
    alike: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        if reason is not None:
            alike.setdefault(reason, []).append(name)
    return "; ".join([runs_text(reasons), *(f"not {', '.join(names)}: {reason}" for reason, names in alike.items())])
