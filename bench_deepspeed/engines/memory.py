"""Memory in its parts: one number would be mostly the pool that an engine chose to reserve."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench_deepspeed.measure.records import Memory


def measure(weights: int, kv_pool: int | None, kv_used: int, on_gpu: bool) -> Memory:
    """Add to an engine's own parts what torch, the driver and the system report."""
    peak = driver = workspace = None
    if on_gpu:
        import torch

        peak = torch.cuda.max_memory_allocated()
        workspace = peak - weights - (kv_used if kv_pool is None else kv_pool)
        free, total = torch.cuda.mem_get_info()
        driver = total - free
    return Memory(weights, kv_pool, kv_used, workspace, peak, driver, host_peak_bytes())


def stored_tensors(tensors: Iterable) -> Iterator:
    """The plain tensors that these hold here: packed weights, their scales and zero points are in one that wraps them,
    and so is this rank's part of a tensor that several ranks share."""
    from torch.distributed.tensor import DTensor
    from torch.utils._python_dispatch import is_traceable_wrapper_subclass

    for tensor in tensors:
        if isinstance(tensor, DTensor):
            yield tensor.to_local()
        elif is_traceable_wrapper_subclass(tensor):
            names, _ = tensor.__tensor_flatten__()
            yield from stored_tensors(getattr(tensor, name) for name in names)
        else:
            yield tensor


def reset_peaks(on_gpu: bool) -> None:
    """Start new peaks for `measure`."""
    if os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): 5 resets the peak of resident memory
    if on_gpu:
        import torch

        torch.cuda.reset_peak_memory_stats()


def host_peak_bytes() -> int | None:
    """This process's peak resident memory since the last reset (Linux), else None."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), None)
