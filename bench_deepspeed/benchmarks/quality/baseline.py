"""What an engine's precision is compared with: the same one through another implementation."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common import precisions
from bench_deepspeed.core import capabilities
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.precision import PRECISIONS
from bench_deepspeed.model.catalog import ModelSpec

TRANSFORMERS = "transformers"
PACKERS = (TRANSFORMERS, "deepspeed")
"""Engines with a way of their own to pack weights, in the order in which they serve as a baseline."""


def baseline_of(spec: ModelSpec, engine: str, device: str, precision: str) -> str | None:
    """The engine whose distance from float32 is the noise floor; None where this is the only implementation here.

    A precision of arithmetic has Transformers' own. Packed weights have another library's: raises MachineError where
    that one is not installed.
    """
    if precision in PRECISIONS:
        return TRANSFORMERS
    for other in PACKERS:
        cell = capabilities.cell(other, device, precision)
        if other == engine or precisions.refusal(spec, other, device, precision):
            continue
        if reason := precisions.lacking_package(cell, precision):
            raise MachineError(f"the noise floor of {precision} comes from {other}: {reason}")
        if not precisions.lacking(cell, precision):
            return other
    return None


def is_baseline(engine: str, precision: str) -> bool:
    """Whether an engine's packed weights are what another engine's are compared with."""
    return precision not in PRECISIONS and engine in PACKERS
