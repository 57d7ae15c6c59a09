"""Memory in its parts: one number would be mostly the pool that an engine chose to reserve."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """Bytes by part, of one generation; None for a part that is not there or cannot be told."""

    weights_bytes: int | None = None
    kv_pool_bytes: int | None = None
    """Reserved for the KV cache at load time; None for an engine that reserves nothing."""
    kv_used_bytes: int | None = None
    """The most of the KV cache that the sequence filled."""
    workspace_bytes: int | None = None
    """Device peak - weights - KV cache: activations, workspaces and buffers."""
    device_peak_bytes: int | None = None
    driver_bytes: int | None = None
    """What the driver says is in use on the whole GPU, right after the generation."""
    host_peak_bytes: int | None = None


def measure(weights: int, kv_pool: int | None, kv_used: int, on_gpu: bool) -> Memory:
    """Add to an engine's own parts what torch, the driver and the system tell."""
    peak = driver = workspace = None
    if on_gpu:
        import torch

        peak = torch.cuda.max_memory_allocated()
        workspace = peak - weights - (kv_used if kv_pool is None else kv_pool)
        free, total = torch.cuda.mem_get_info()
        driver = total - free
    return Memory(weights, kv_pool, kv_used, workspace, peak, driver, host_peak_bytes())


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
