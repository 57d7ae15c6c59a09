"""The energy of generations, by the device's own counter: NVML's on CUDA, RAPL's on the CPU.

Both count joules since some moment in the past, for the whole device: idle power and other processes'
work are in the value.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from pathlib import Path

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.engines.base import Engine
from bench_deepspeed.machine.gpu import NvmlGpu
from bench_deepspeed.measure.records import Energy, EnergyPart

PARTS = 3
"""The fewest parts with a useful interval."""
POWERCAP = Path("/sys/class/powercap")


class GpuCounter:
    """The whole boards' energy, of each rank's GPU. NVML renews a counter about every 100 ms."""

    def __init__(self, gpus: Sequence[NvmlGpu]):
        self._gpus = gpus
        self.source = "NVML, whole GPU" if len(gpus) == 1 else f"NVML, {len(gpus)} whole GPUs"

    def joules(self) -> float:
        millijoules = [gpu.energy_mj() for gpu in self._gpus]
        known = [value for value in millijoules if value is not None]
        if len(known) < len(millijoules):
            raise BenchError("the GPU's energy counter cannot be read any more")
        return sum(known) / 1000


class RaplCounter:
    """The CPU packages' energy, without the memory's.

    Source: https://docs.kernel.org/power/powercap/powercap.html. The counter of a package wraps around, so it
    has to be read more often than that takes: minutes.
    """

    def __init__(self, packages: list[Path]):
        self._packages = packages
        self.source = f"RAPL, {len(packages)} CPU package{'s' if len(packages) > 1 else ''}"
        self._ranges = [_number(package / "max_energy_range_uj") for package in packages]
        self._last = self._read()
        self._total_uj = 0

    def joules(self) -> float:
        now = self._read()
        for value, last, wrap in zip(now, self._last, self._ranges, strict=True):
            self._total_uj += value - last + (wrap if value < last else 0)
        self._last = now
        return self._total_uj / 1e6

    def _read(self) -> list[int]:
        return [_number(package / "energy_uj") for package in self._packages]


Counter = GpuCounter | RaplCounter


def open_counter(device: str, gpus: Sequence[NvmlGpu | None], powercap: Path = POWERCAP) -> Counter | None:
    """The counter of the devices that generate; None where one has none, or only root may read it."""
    if device == "cuda":
        known = [gpu for gpu in gpus if gpu is not None and gpu.energy_mj() is not None]
        return GpuCounter(known) if known and len(known) == len(gpus) else None
    try:
        # intel-rapl:0, not its parts such as intel-rapl:0:0; a zone may also be the whole machine's ("psys").
        zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if re.fullmatch(r"intel-rapl:\d+", zone.name)]
        packages = [zone for zone in zones if (zone / "name").read_text().startswith("package-")]
        return RaplCounter(packages) if packages else None
    except OSError:
        return None


def measure(engine: Engine, counter: Counter, prompt: str, max_tokens: int, seconds: float) -> Energy:
    """Several parts, each of whole generations that take that many seconds together at least.

    One generation goes before: a counter that lags behind then starts during the load of a generation too.
    """
    engine.generate(prompt, max_tokens)
    engine.synchronize()
    parts = [_part(engine, counter, prompt, max_tokens, seconds) for _ in range(PARTS)]
    joules, passed = (math.fsum(getattr(part, name) for part in parts) for name in ("joules", "seconds"))
    return Energy(counter.source, joules, passed, sum(part.new_tokens for part in parts), parts)


def _part(engine: Engine, counter: Counter, prompt: str, max_tokens: int, seconds: float) -> EnergyPart:
    """Generate until that many seconds have passed, and take what the counter rose by."""
    new_tokens, joules, passed = 0, 0.0, 0.0
    started, before = time.perf_counter(), counter.joules()
    while passed < seconds:
        new_tokens += engine.generate(prompt, max_tokens).new_tokens
        engine.synchronize()
        joules, passed = counter.joules() - before, time.perf_counter() - started
    return EnergyPart(joules, passed, new_tokens)


def _number(path: Path) -> int:
    return int(path.read_text())
