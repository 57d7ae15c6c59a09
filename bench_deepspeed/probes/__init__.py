"""What the machine was doing around a timed generation, and what generations draw.

Nothing here runs while the clock does: a probe looks before the start and after the stop.
"""

from __future__ import annotations

from ..schema import Reading
from .gpu import Gpu
from .host import Cpus


class Probe:
    """Looks at the machine around a generation; made once an engine has loaded, when the GPU is in use."""

    def __init__(self, device: str):
        self.gpu = Gpu.of_torch() if device == "cuda" else None
        self._cpus = Cpus()

    def before(self) -> None:
        """Call before everything that belongs to the generation."""
        self._cpus.start()

    def after(self) -> Reading:
        """Call after the clock has stopped: the GPU's clocks then still are those of the generation."""
        other_cpus_busy = self._cpus.others_busy()
        if self.gpu is None:
            return Reading(other_cpus_busy=other_cpus_busy)
        return Reading(
            sm_clock_mhz=self.gpu.sm_clock_mhz(),
            memory_clock_mhz=self.gpu.memory_clock_mhz(),
            temperature_c=self.gpu.temperature_c(),
            throttle_reasons=self.gpu.throttle_reasons(),
            other_gpu_processes=self.gpu.other_processes(),
            other_cpus_busy=other_cpus_busy,
        )
