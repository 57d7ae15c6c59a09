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

    gpus: tuple[()] = ()

    def before(self) -> None:
        return

    def after(self) -> None:
        return

    def host_s(self) -> None:
        return


def _values(gpu: NvmlGpu | None) -> dict:
    """What a GPU does now, by the fields of a reading; nothing of one that NVML does not know."""
    if gpu is None:
        return {}
    return {
        "sm_clock_mhz": gpu.sm_clock_mhz(),
        "memory_clock_mhz": gpu.memory_clock_mhz(),
        "throttle_reasons": gpu.throttle_reasons(),
        "temperature_c": gpu.temperature_c(),
        "other_gpu_processes": gpu.other_processes(),
    }


class Probe:
    """Reads the machine around a generation; created once an engine has loaded, when the GPU is in use.

    `compilations` is the engine's count of them so far, or None. `ranks` of them have the first GPUs that torch sees.
    """

    def __init__(self, device: str, compilations: Callable[[], int | None] = lambda: None, ranks: int = 1):
        self.gpus = []
        if device == "cuda":
            self.gpus = [NvmlGpu.of_torch()] if ranks == 1 else [NvmlGpu.of_torch(number) for number in range(ranks)]
        self._cpus = Cpus()
        self._compilations = compilations

    def before(self) -> None:
        """Call before everything that belongs to the generation."""
        gc.collect()  # what the previous repetition left must not slow this one
        self._compiled_before = self._compilations()
        self._cpus.start()

    def after(self) -> Reading:
        """Call right after the clock has stopped: the GPU's clocks then still are those of the generation."""
        values = [_values(gpu) for gpu in self.gpus]
        busy, compiled = self._cpus.others_busy(), self._compilations()
        compilations = None if compiled is None else compiled - self._compiled_before
        own, others = values[0] if values else {}, [Reading(**of_rank) for of_rank in values[1:]]
        return Reading(**own, other_cpus_busy=busy, compilations=compilations, other_ranks=others)

    def host_s(self) -> float:
        """How long a fixed loop of Python takes now; see `host.loop_s`."""
        return loop_s()
