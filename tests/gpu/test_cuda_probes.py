"""What only a driver can prove: that NVML reads the GPU that torch uses, and counts its energy."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import psutil
import pynvml
import pytest
from support import wait_until

from bench_deepspeed.engines.base import Generation
from bench_deepspeed.engines.fake import FakeEngine
from bench_deepspeed.machine.environment import torch_facts
from bench_deepspeed.machine.gpu import NvmlGpu
from bench_deepspeed.machine.probe import Probe
from bench_deepspeed.worker import energy

pytestmark = pytest.mark.gpu
OCCUPY = "import torch, time; x = torch.zeros(1, device='cuda'); print(flush=True); time.sleep(600)"


class Multiplying(FakeEngine):
    """Keeps the GPU at work: its generations are products of matrices."""

    def load(self, load, progress) -> None:
        import torch

        self._matrix = torch.randn(8192, 8192, device="cuda", dtype=torch.float16)

    def generate(self, prompt: str, max_tokens: int) -> Generation:
        for _ in range(max_tokens):
            self._matrix @ self._matrix
        self.synchronize()
        return Generation("", 1, max_tokens)

    def synchronize(self) -> None:
        import torch

        torch.cuda.synchronize()


@pytest.fixture
def engine() -> Multiplying:
    engine = Multiplying()
    engine.load(None, None)
    return engine


def test_the_gpu_is_torchs(engine):
    import torch

    gpu = NvmlGpu.of_torch()
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    pci = pynvml.nvmlDeviceGetPciInfo(gpu._handle)
    assert (pci.domain, pci.bus, pci.device) == (
        properties.pci_domain_id,
        properties.pci_bus_id,
        properties.pci_device_id,
    )
    assert pynvml.nvmlDeviceGetMemoryInfo(gpu._handle).used >= torch.cuda.memory_allocated()


def test_a_reading_under_load(engine):
    probe = Probe("cuda")
    probe.before()
    engine.generate("", 100)
    reading = probe.after()
    assert 0 < reading.sm_clock_mhz < 5000
    assert 0 < reading.memory_clock_mhz < 20000
    assert 10 < reading.temperature_c < 110
    assert reading.throttle_reasons is not None
    assert reading.other_gpu_processes is not None
    assert reading.temperature_c < torch_facts("cuda").gpu_slowdown_c < 130


def test_energy_is_power_over_time(engine):
    gpu = NvmlGpu.of_torch()
    drawn = energy.measure(engine, energy.open_counter("cuda", gpu), "", 200, seconds=3)
    watts = drawn.joules / drawn.seconds
    assert watts == pytest.approx(pynvml.nvmlDeviceGetPowerUsage(gpu._handle) / 1000, rel=0.3)  # the last second's mean


@contextlib.contextmanager
def occupying_process(*launcher: str):
    """A process on the GPU, started by the launcher. Its lines of output: its own pid, then an empty one."""
    command = [*launcher, sys.executable, "-c", f"import os; print(os.getpid(), flush=True); {OCCUPY}"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pid = int(started.stdout.readline())
    try:
        assert started.stdout.readline() == "\n"
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        started.wait()
        started.stdout.close()


def test_only_processes_of_others_are_others(engine):
    gpu = NvmlGpu.of_torch()
    before = gpu.other_processes()
    with occupying_process():
        assert gpu.other_processes() == before
    # The shell ends at once, and its child is nobody's descendant of ours.
    with occupying_process("sh", "-c", '"$@" &', "sh") as pid:
        wait_until(lambda: os.getpid() not in [parent.pid for parent in psutil.Process(pid).parents()])
        assert gpu.other_processes() == before + 1
