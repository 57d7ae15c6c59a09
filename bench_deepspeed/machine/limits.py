"""What this device can do at most, measured with plain torch: every speed is compared with it.

A limit is the best of its measurements, not their mean: a disturbance only ever makes one slower.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench_deepspeed.core.progress import Progress
from bench_deepspeed.measure.records import Limits

from . import environment

LABEL = "measuring what the device can do"
MINIMUM_S = 0.5  # of each of the three: hundreds of passes on a GPU, a dozen or more on a CPU
BUFFER_BYTES = {"cuda": 4_000_000_000, "cpu": 512_000_000}
CACHES_A_BUFFER = 8  # of a buffer that is read over and over, the caches can keep an eighth at most
BUFFERS_IN_FREE_MEMORY = 8  # two are held at a time, so they take a quarter of what is free
SIDE = {"cuda": 8192, "cpu": 1024}
LARGEST_SIDE = 8192
PRODUCT_S = 0.05  # many cores need a large product to be busy; on a GPU the first side is large enough
CACHES = Path("/sys/devices/system/cpu")


def measure(device: str, precision: str, progress: Progress, devices: int = 1) -> Limits:
    """Measure memory traffic and matrix products; takes a few seconds, and gives its buffers back.

    Of several GPUs, one after the other: the values are then their sums. Ranks on a CPU share the one that there is.
    """
    if device != "cuda" or devices == 1:
        return _measure(device, precision, progress)
    import torch

    each = []
    for number in range(devices):
        torch.cuda.set_device(number)
        each.append(_measure(device, precision, progress))
    return total(each)


def total(each: Sequence[Limits]) -> Limits:
    """The limits of several devices together."""
    rates = ("copy_bytes_per_s", "read_bytes_per_s", "matmul_flops_per_s")
    sums = {name: math.fsum(getattr(limits, name) for limits in each) for name in rates}
    caches = [limits.cache_bytes for limits in each if limits.cache_bytes is not None]
    cache_bytes = sum(caches) if len(caches) == len(each) else None
    return dataclasses.replace(each[0], **sums, cache_bytes=cache_bytes, devices=len(each))


def _measure(device: str, precision: str, progress: Progress) -> Limits:
    import torch

    from .host import Cpus

    parts = (
        lambda: copy_bytes_per_s(device),
        lambda: read_bytes_per_s(device),
        lambda: matmul_flops_per_s(device, precision),
    )
    best, cpus = [], Cpus()
    cpus.start()
    for done, part in enumerate(parts):
        progress(LABEL, done, len(parts))
        best.append(part())
        if device == "cuda":
            torch.cuda.empty_cache()  # torch would keep it in reserve
    progress(LABEL, len(parts), len(parts))
    share = cpus.share_left() if device == "cpu" else None
    return Limits(*best, precision, cache_bytes(device), share)


def copy_bytes_per_s(device: str) -> float:
    """Bytes read plus bytes written, over the seconds of one copy between two large buffers.

    As STREAM counts it (J. D. McCalpin, 1995): what a CPU reads only in order to overwrite it is not counted.
    """
    source = _buffer(device)
    target = source.clone()  # of the same size, whatever memory others have taken meanwhile
    return 2 * source.nbytes / _best_s(partial(target.copy_, source), device)


def read_bytes_per_s(device: str) -> float:
    """Bytes of a large buffer, over the seconds that its sum takes."""
    buffer = _buffer(device)
    return buffer.nbytes / _best_s(buffer.sum, device)


def matmul_flops_per_s(device: str, precision: str) -> float:
    """2 n³ ∕ seconds of a linear layer whose input and weights are random matrices of n × n.

    On a CPU the better of this precision and float32: an engine may convert values of 16 bits, and must where the
    processor has no units for them. Float32 on CUDA is what engines get there too: torch's default, without TF32.
    """
    names = {precision, "float32"} if device == "cpu" else {precision}
    return max(_product_flops_per_s(device, name) for name in names)


def _product_flops_per_s(device: str, precision: str) -> float:
    """Of one precision. Values are random since a GPU draws less power for zeros, and so clocks higher.

    A linear layer, since that is what engines compute: torch's product of the same matrices with the second one not
    transposed is 20 times slower in bfloat16 on a CPU without units for it.
    """
    import torch

    side = SIDE[device]
    while True:
        matrices = [torch.randn(side, side, device=device).to(getattr(torch, precision)) for _ in range(2)]
        seconds = _best_s(partial(torch.nn.functional.linear, *matrices), device)
        if device == "cuda" or seconds >= PRODUCT_S or side >= LARGEST_SIDE:
            return 2 * side**3 / seconds
        side *= 2


def cache_bytes(device: str) -> int | None:
    """The largest number of bytes that caches can keep from one decode step to the next; None where it is not known.

    On CUDA the level 2 cache. On a CPU the sum of all data caches of all levels: whether a level repeats
    what another holds differs from one processor to the next, and the sum is never too small.
    """
    import torch

    if device == "cuda":
        return torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
    return host_cache_bytes(CACHES, environment.allowed_cpus())


def host_cache_bytes(root: Path, cpus: set[int]) -> int | None:
    """The data caches of these CPUs as Linux lists them, one that several CPUs share counted once."""
    caches = {}
    for folder in (index for cpu in cpus for index in root.glob(f"cpu{cpu}/cache/index*")):
        kind, level, shared, size = (_text(folder / name) for name in ("type", "level", "shared_cpu_list", "size"))
        if kind != "Instruction" and shared and (number := re.fullmatch(r"(\d+)([KM])", size)):
            caches[level, shared] = int(number[1]) * {"K": 1024, "M": 1024**2}[number[2]]
    return sum(caches.values()) or None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _buffer(device: str):
    """A float32 vector many times larger than the caches, as far as memory allows.

    It is written by all threads: pages that nobody wrote are one and the same page of zeros, and those that one
    thread wrote lie all in its part of the memory.
    """
    import torch

    wanted = max(BUFFER_BYTES[device], CACHES_A_BUFFER * (cache_bytes(device) or 0))
    size = min(wanted, free_bytes(device) // BUFFERS_IN_FREE_MEMORY)
    return torch.ones(size // torch.float32.itemsize, device=device)


def free_bytes(device: str) -> int:
    """Free memory of the device, as far as a container may use it."""
    import psutil
    import torch

    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    free = environment.free_host_bytes()
    return psutil.virtual_memory().available if free is None else free


def _best_s(step: Callable[[], object], device: str) -> float:
    """Seconds of the fastest of the calls that fit `MINIMUM_S`, after a warm-up.

    torch's Timer synchronizes the device and repeats calls that are too short for the clock.
    """
    import timeit

    import torch
    from torch.utils import benchmark

    clock = benchmark.timer if device == "cuda" else timeit.default_timer
    timer = benchmark.Timer("step()", timer=clock, globals={"step": step}, num_threads=torch.get_num_threads())
    return min(timer.blocked_autorange(min_run_time=MINIMUM_S).times)
