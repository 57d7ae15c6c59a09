"""The GPU that torch uses, as the driver sees it (NVML, the library behind nvidia-smi).

What a GPU or its driver does not report is None. So is everything on a part of a GPU (MIG): clocks, energy
and temperature are those of the whole one, which others use at the same time.
"""

from __future__ import annotations

import os

import psutil

THROTTLE_REASONS = {
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "power brake",
    0x100: "display clock",
    0x200: "board limit",
    0x400: "reliability",
}
"""NVML's bits, nvmlClocksEventReason… (before: …ThrottleReason…), for the reasons of reduced clocks."""

NOT_THROTTLING = 0x001 | 0x002
"""The bits of an idle GPU, as it is right after a generation, and of clocks that a user has set."""


class NvmlGpu:
    """One whole GPU. `nvml` is the module pynvml, or what behaves like it."""

    def __init__(self, nvml, handle):
        self._nvml = nvml
        self._handle = handle

    @classmethod
    def of_torch(cls, number: int | None = None) -> NvmlGpu | None:
        """The GPU that torch uses in this process, or that of a number of torch's.

        None where NVML does not know it or it is a part of one.
        """
        import pynvml
        import torch

        number = torch.cuda.current_device() if number is None else number
        return cls.find(pynvml, str(torch.cuda.get_device_properties(number).uuid))

    @classmethod
    def find(cls, nvml, uuid: str) -> NvmlGpu | None:
        """By UUID: CUDA_VISIBLE_DEVICES changes torch's numbers, and NVML knows nothing of it."""
        try:
            nvml.nvmlInit()
            gpu = cls(nvml, nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
        except nvml.NVMLError:
            return None
        mig = gpu._query("nvmlDeviceGetMigMode")  # [now, after the next reset]
        return None if mig and mig[0] else gpu

    def _query(self, function: str, *arguments):
        try:
            return getattr(self._nvml, function)(self._handle, *arguments)
        except (self._nvml.NVMLError, AttributeError):  # the latter from a binding older than the function
            return None

    def sm_clock_mhz(self) -> int | None:
        return self._query("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM)

    def memory_clock_mhz(self) -> int | None:
        return self._query("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_MEM)

    def temperature_c(self) -> int | None:
        return self._query("nvmlDeviceGetTemperature", self._nvml.NVML_TEMPERATURE_GPU)

    def slowdown_c(self) -> int | None:
        """The temperature at which the GPU slows itself down.

        Newer GPUs report only the margin to it: there it is that margin plus the current temperature.
        """
        threshold = self._query("nvmlDeviceGetTemperatureThreshold", self._nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
        if threshold:
            return threshold
        temperature, margin = self.temperature_c(), self._query("nvmlDeviceGetMarginTemperature")
        return None if temperature is None or margin is None else temperature + margin

    def throttle_reasons(self) -> list[str] | None:
        """The reasons for reduced clocks, by name; a bit without a name by its number."""
        bits = self._query("nvmlDeviceGetCurrentClocksThrottleReasons")
        if bits is None:
            return None
        active = [1 << n for n in range(bits.bit_length()) if bits & ~NOT_THROTTLING & 1 << n]
        return [THROTTLE_REASONS.get(bit, hex(bit)) for bit in active]

    def other_processes(self) -> int | None:
        """Processes on this GPU that are neither this one nor descend from it.

        None where the driver lists none of these: in a container it may number processes as the host does, and then it
        is not known which ones are ours.
        """
        kinds = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses")
        pids = {process.pid for kind in kinds for process in self._query(kind) or []}
        others = sum(not _is_ours(pid) for pid in pids)
        return None if others == len(pids) else others

    def energy_mj(self) -> int | None:
        """Energy of the whole board in millijoules since the driver was loaded."""
        return self._query("nvmlDeviceGetTotalEnergyConsumption")


def _is_ours(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return os.getpid() in (process.pid, *(parent.pid for parent in process.parents()))
    except psutil.Error:
        return False
