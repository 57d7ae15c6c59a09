"""What the machine was doing around a timed generation, and what generations draw.

Nothing here runs while the clock does: a probe reads before the start and after the stop.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from bench_deepspeed.measure.records import Reading

from .gpu import NvmlGpu
from .host import Cpus, loop_s


class NoProbe:
    """For the fake engine: its times do not depend on the machine."""

    gpu = None

    def before(self) -> None:
        return

    def after(self) -> None:
        return

    def host_s(self) -> None:
        return


class Probe:
    """Reads the machine around a generation; created once an engine has loaded, when the GPU is in use.

    `compilations` is the engine's count of them so far, or None.
    """

    def __init__(self, device: str, compilations: Callable[[], int | None] = lambda: None):
        self.gpu = NvmlGpu.of_torch() if device == "cuda" else None
        self._cpus = Cpus()
        self._compilations = compilations

    def before(self) -> None:
        """Call before everything that belongs to the generation."""
        gc.collect()  # what the previous repetition left must not slow this one
        self._compiled_before = self._compilations()
        self._cpus.start()

    def after(self) -> Reading:
        """Call right after the clock has stopped: the GPU's clocks then still are those of the generation."""
        gpu_values = {}
        if self.gpu is not None:
            gpu_values = {
                "sm_clock_mhz": self.gpu.sm_clock_mhz(),
                "memory_clock_mhz": self.gpu.memory_clock_mhz(),
                "throttle_reasons": self.gpu.throttle_reasons(),
                "temperature_c": self.gpu.temperature_c(),
                "other_gpu_processes": self.gpu.other_processes(),
            }
        busy, compiled = self._cpus.others_busy(), self._compilations()
        compilations = None if compiled is None else compiled - self._compiled_before
        return Reading(**gpu_values, other_cpus_busy=busy, compilations=compilations)

    def host_s(self) -> float:
        """How long a fixed loop of Python takes now; see `host.loop_s`."""
        return loop_s()
