"""What surrounds NVML, the kernel's counters and RAPL: names, arithmetic, and what happens where they are not."""

from __future__ import annotations

import dataclasses
import os
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
from builders import GPU_UUID as UUID
from builders import Nvml, gpu_that, on_gpu

from bench_deepspeed.engines.base import Generation, Load
from bench_deepspeed.engines.fake import FakeEngine
from bench_deepspeed.machine import host
from bench_deepspeed.machine.gpu import NOT_THROTTLING, THROTTLE_REASONS, NvmlGpu
from bench_deepspeed.machine.probe import Probe
from bench_deepspeed.measure.records import Reading
from bench_deepspeed.worker import energy, tasks
from bench_deepspeed.worker.state import Worker

FULL = {
    "ClockInfo": {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 2619},
    "Temperature": {pynvml.NVML_TEMPERATURE_GPU: 41},
    "CurrentClocksThrottleReasons": 0x4 | 0x20 | 0x1,
    "ComputeRunningProcesses": [SimpleNamespace(pid=os.getpid()), SimpleNamespace(pid=os.getppid())],
}


def test_a_reading_holds_what_the_driver_reports(monkeypatch):
    monkeypatch.setattr(NvmlGpu, "of_torch", lambda: gpu_that(**FULL))
    probe = Probe("cuda")
    probe.before()
    gpus_own = dataclasses.replace(probe.after(), other_cpus_busy=None)
    assert gpus_own == Reading(1980, 2619, 41, ["power cap", "software thermal slowdown"], 1)


def test_what_the_driver_does_not_report_is_none():
    gpu = gpu_that()
    clocks = (gpu.sm_clock_mhz, gpu.memory_clock_mhz, gpu.throttle_reasons)
    others = (gpu.temperature_c, gpu.slowdown_c, gpu.other_processes, gpu.energy_mj)
    assert [read() for read in clocks + others] == [None] * 7


def test_a_machine_whose_nvml_does_not_know_the_gpu():
    assert NvmlGpu.find(pynvml, UUID) is None  # the real one: here without a driver, or with other GPUs
    assert NvmlGpu.find(Nvml(), "another") is None


def test_a_part_of_a_gpu_has_no_readings():
    assert gpu_that(MigMode=[1, 1]) is None
    assert gpu_that(MigMode=[0, 1]) is not None


def test_every_reason_of_nvml_has_a_name():
    bits = {
        value
        for name, value in vars(pynvml).items()
        if name.startswith(("nvmlClocksEventReason", "nvmlClocksThrottleReason")) and not name.endswith(("All", "None"))
    }
    idle, set_by_user = pynvml.nvmlClocksEventReasonGpuIdle, pynvml.nvmlClocksEventReasonApplicationsClocksSetting
    assert bits == {*THROTTLE_REASONS, idle, set_by_user}
    assert idle | set_by_user == NOT_THROTTLING


@pytest.mark.parametrize(
    ("bits", "names"), [(0x0, []), (0x3, []), (0x4, ["power cap"]), (0x8008, ["hardware slowdown", "0x8000"])]
)
def test_throttle_reasons_by_name(bits, names):
    assert gpu_that(CurrentClocksThrottleReasons=bits).throttle_reasons() == names


def test_the_slowdown_threshold_or_the_distance_to_it():
    slowdown = {pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN: 92}
    assert gpu_that(TemperatureThreshold=slowdown, **FULL).slowdown_c() == 92
    assert gpu_that(MarginTemperature=46, **FULL).slowdown_c() == 41 + 46


def test_where_the_driver_numbers_processes_otherwise_others_cannot_be_counted():
    assert gpu_that(ComputeRunningProcesses=on_gpu(os.getppid())).other_processes() is None


@pytest.mark.parametrize(
    ("passed", "busy", "ours", "others"),
    [(2.0, 5.0, 2.0, 1.5), (2.0, 1.9, 2.0, 0.0), (0.19, 5.0, 0.0, None)],
    ids=["busy", "our time counted finer than the system's", "too short to be known"],
)
def test_cpus_that_others_kept_busy(monkeypatch, passed, busy, ours, others):
    times = iter([(10.0, 100.0, 7.0), (10.0 + passed, 100.0 + busy, 7.0 + ours)])
    monkeypatch.setattr(host.Cpus, "_times", lambda self: next(times))
    cpus = host.Cpus()
    cpus.start()
    assert cpus.others_busy() == (others if others is None else pytest.approx(others))


def test_busy_is_all_but_idle_and_waiting_for_a_disk_and_guests_count_once():
    times = namedtuple("times", "user nice system idle iowait irq softirq steal guest guest_nice")
    assert host._busy_s(times(10, 1, 2, 500, 50, 3, 4, 5, 6, 1)) == 10 + 1 + 2 + 3 + 4 + 5


def zone(root: Path, folder: str, name: str, energy_uj: int, max_uj: int = 1_000_000_000) -> Path:
    """A RAPL zone as the kernel shows it below /sys/class/powercap."""
    path = root / folder
    path.mkdir()
    for file, content in (("name", name), ("energy_uj", energy_uj), ("max_energy_range_uj", max_uj)):
        (path / file).write_text(f"{content}\n")
    return path


def test_rapl_adds_the_packages_and_nothing_else(tmp_path):
    packages = [zone(tmp_path, f"intel-rapl:{n}", f"package-{n}", 5_000_000) for n in range(2)]
    others = [
        zone(tmp_path, "intel-rapl:0:0", "core", 0),
        zone(tmp_path, "intel-rapl:2", "psys", 0),
        zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0),
    ]
    counter = energy.open_counter("cpu", [], tmp_path)
    assert counter.source == "RAPL, 2 CPU packages"
    assert counter.joules() == 0
    for path, energy_uj in zip([*packages, *others], [7_000_000, 8_500_000, 9, 9, 9], strict=True):
        (path / "energy_uj").write_text(f"{energy_uj}\n")
    assert counter.joules() == pytest.approx(2.0 + 3.5)


def test_a_rapl_counter_that_wraps_around_goes_on(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", "package-0", 9_000_000, max_uj=10_000_000)
    counter = energy.open_counter("cpu", [], tmp_path)
    readings = []
    for energy_uj in (500_000, 9_500_000, 1_000_000):
        (package / "energy_uj").write_text(f"{energy_uj}\n")
        readings.append(counter.joules())
    assert readings == pytest.approx([1.5, 10.5, 12.0])


def test_where_no_counter_can_be_read_there_is_none(tmp_path):
    assert energy.open_counter("cpu", [], tmp_path / "missing") is None
    assert energy.open_counter("cpu", [], tmp_path) is None
    (zone(tmp_path, "intel-rapl:0", "package-0", 1) / "energy_uj").unlink()  # as unreadable as root's file
    assert energy.open_counter("cpu", [], tmp_path) is None
    assert energy.open_counter("cuda", [None], tmp_path) is None
    assert energy.open_counter("cuda", [gpu_that()], tmp_path) is None


class Drawing(FakeEngine):
    """Draws a joule a generation, which it adds to a file of RAPL's."""

    def __init__(self, counter: Path):
        self._counter = counter

    def generate(self, prompt: str, max_tokens: int) -> Generation:
        self._counter.write_text(str(int(self._counter.read_text()) + 1_000_000))
        return super().generate(prompt, max_tokens)


def test_energy_of_generations_one_after_another(tmp_path):
    engine = Drawing(zone(tmp_path, "intel-rapl:0", "package-0", 0, max_uj=3_000_000_000) / "energy_uj")
    engine.load(None, None)
    counter = energy.open_counter("cpu", [], tmp_path)
    drawn = energy.measure(engine, counter, "one two", 16, seconds=0.1)
    assert len(drawn.parts) == energy.PARTS == 3
    assert all(part.seconds >= 0.1 for part in drawn.parts)
    assert [part.joules for part in drawn.parts] == pytest.approx([part.new_tokens / 16 for part in drawn.parts])
    totals = [sum(getattr(part, name) for part in drawn.parts) for name in ("joules", "seconds", "new_tokens")]
    assert [drawn.joules, drawn.seconds, drawn.new_tokens] == pytest.approx(totals)
    assert drawn.joules == pytest.approx(drawn.new_tokens / 16)  # a joule each, and 16 tokens
    assert drawn.new_tokens > 0
    assert engine._calls == drawn.joules + 1  # one before, which is not counted


def test_energy_by_nvml_is_what_its_counter_rose_by():
    answers = {"nvmlDeviceGetTotalEnergyConsumption": 5_000_000}
    nvml = Nvml(**answers)
    counter = energy.open_counter("cuda", [NvmlGpu.find(nvml, UUID)])
    before = counter.joules()
    nvml.answers["nvmlDeviceGetTotalEnergyConsumption"] = 5_250_500
    assert (counter.source, counter.joules() - before) == ("NVML, whole GPU", 250.5)


def test_the_energy_of_several_ranks_is_that_of_all_their_gpus():
    each = [NvmlGpu.find(Nvml(nvmlDeviceGetTotalEnergyConsumption=joules), UUID) for joules in (1_000, 2_500)]
    counter = energy.open_counter("cuda", each)
    assert (counter.source, counter.joules()) == ("NVML, 2 whole GPUs", 3.5)
    assert energy.open_counter("cuda", [each[0], None]) is None  # a sum without one of them would be too small


def test_each_rank_s_gpu_is_read(monkeypatch):
    of_rank = [gpu_that(**FULL), None]
    monkeypatch.setattr(NvmlGpu, "of_torch", lambda number: of_rank[number])
    probe = Probe("cuda", ranks=2)
    probe.before()
    reading = probe.after()
    assert (reading.sm_clock_mhz, reading.other_ranks) == (1980, [Reading()])


def test_the_worker_takes_a_reading_with_each_generation(monkeypatch):
    monkeypatch.setenv("BENCH_FAKE", '{"seconds": [0.25]}')
    monkeypatch.setattr(FakeEngine, "form", "transformers")  # for one without weights nothing is read
    worker = Worker(print)
    tasks.load(worker, "fake", Load(None, "cpu", "float32", Path(), [], 8))
    reading = tasks.generate(worker, "one two", 8).reading
    assert reading.other_cpus_busy >= 0
    assert reading == Reading(other_cpus_busy=reading.other_cpus_busy)  # there is no GPU in use
