"""What can be split over ranks, what is added up, and the scaling efficiency, with SciPy as the oracle."""

from __future__ import annotations

import dataclasses
import datetime
import math
import mmap
import os
import statistics
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import LIMITS
from scipy import stats

from bench_deepspeed.benchmarks.common import tensor_parallel
from bench_deepspeed.benchmarks.sweep import derived, scaling
from bench_deepspeed.benchmarks.sweep.metrics import rows
from bench_deepspeed.benchmarks.sweep.records import SweepResult, SweepScenario, SweepSettings
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.engines import collectives
from bench_deepspeed.machine import environment, limits
from bench_deepspeed.measure.records import Environment, Gpu, Memory, Reading, Sample
from bench_deepspeed.model import catalog
from bench_deepspeed.results import listing
from bench_deepspeed.results.entries import Entry

LLAMA, SMOLLM2, MISTRAL = map(catalog.load, ("llama", "smollm2", "mistral"))


@pytest.mark.parametrize(
    ("spec", "engine", "ranks", "words"),
    [
        (SMOLLM2, "deepspeed", 1, None),
        (SMOLLM2, "transformers_compiled", 1, None),
        (SMOLLM2, "deepspeed", 2, None),  # 6 + 3 heads
        (SMOLLM2, "deepspeed", 3, None),
        (SMOLLM2, "deepspeed", 4, "3 KV heads, and each rank needs one: 3 ranks at most"),
        (SMOLLM2, "transformers", 2, "its num_attention_heads of 9 is no multiple of 2"),
        (SMOLLM2, "transformers", 3, None),
        (SMOLLM2, "transformers_compiled", 2, "transformers_compiled runs on one rank"),
        (SMOLLM2, "mii", 2, None),  # MII stores nine KV heads, see `kv_repeats`
        (LLAMA, "mii", 2, None),
        (LLAMA, "mii", 3, "its vocab_size of 32000 is no multiple of 3"),
        (MISTRAL, "mii", 3, "its 8 KV heads cannot be shared out evenly"),
        (MISTRAL, "mii", 16, None),  # two ranks a KV head
        (LLAMA, "fake", 7, None),
    ],
)
def test_what_can_be_split_follows_from_the_shape(spec, engine, ranks, words):
    reason = tensor_parallel.refusal(spec, engine, "cuda", "float16", ranks)
    assert reason is None if words is None else words in reason


def test_packed_weights_are_not_split():
    assert "packed weights" in tensor_parallel.refusal(LLAMA, "deepspeed", "cuda", "int8", 2)


@pytest.mark.parametrize(
    ("visible", "most"),
    [(None, 2), ("0", 1), ("1,0", 2), ("0,1,2", 2), ("0,-1", 1), ("5,0", 0), ("GPU-0a,1", 2), ("", 0)],
)
def test_more_ranks_than_visible_gpus_are_refused(monkeypatch, visible, most):
    monkeypatch.setattr(environment, "gpus", lambda: [Gpu("card", "9.0", 80 << 10, "580")] * 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert tensor_parallel.lacking("cuda", "mii", 1) is None
    if most >= 2:
        tensor_parallel.require_here("cuda", "mii", 2)
    with pytest.raises(MachineError, match=f"needs a GPU of its own, and this machine offers {most}: name {most} at"):
        tensor_parallel.require_here("cuda", "mii", most + 1 if most > 1 else 2)


def test_more_ranks_than_cores_are_refused(monkeypatch):
    monkeypatch.setattr(environment, "allowed_cpus", lambda: {0, 3})
    assert tensor_parallel.lacking("cpu", "deepspeed", 2) is None
    assert tensor_parallel.lacking("cpu", "fake", 3) is None
    with pytest.raises(MachineError, match="^--tensor_parallel 3: each rank needs a CPU of its own"):
        tensor_parallel.require_here("cpu", "deepspeed", 3)


def test_memory_is_the_sum_and_of_each_rank():
    ranks = [Memory(weights_bytes=3, host_peak_bytes=10), Memory(weights_bytes=4, host_peak_bytes=20, driver_bytes=1)]
    total = Memory.of_ranks(ranks)
    assert (total.weights_bytes, total.host_peak_bytes, total.ranks) == (7, 30, ranks)
    assert total.driver_bytes is None  # one rank's is not known


def test_the_reading_of_all_ranks_is_the_worst():
    other = Reading(sm_clock_mhz=1200, temperature_c=70, throttle_reasons=["power cap"], other_gpu_processes=1)
    own = Reading(1980, 2600, 40, ["board limit"], 0, 0.5, 0, [other])
    worst = own.of_all
    assert (worst.sm_clock_mhz, worst.memory_clock_mhz, worst.temperature_c) == (1200, 2600, 70)
    assert (worst.throttle_reasons, worst.other_gpu_processes) == (["board limit", "power cap"], 1)
    assert (worst.other_cpus_busy, worst.compilations) == (0.5, 0)
    alone = dataclasses.replace(own, other_ranks=[])
    assert alone.of_all == alone


def test_limits_of_several_gpus_are_their_sum():
    slower = dataclasses.replace(LIMITS, copy_bytes_per_s=LIMITS.copy_bytes_per_s / 2)
    total = limits.total([LIMITS, slower])
    assert total.copy_bytes_per_s == 1.5 * LIMITS.copy_bytes_per_s
    assert total.matmul_flops_per_s == 2 * LIMITS.matmul_flops_per_s
    assert (total.devices, total.precision) == (2, LIMITS.precision)
    assert limits.total([LIMITS, dataclasses.replace(LIMITS, cache_bytes=None)]).cache_bytes is None


def test_only_the_buffers_of_these_ranks_lose_their_names(tmp_path, monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "4321")
    names = [f"deepspeed_allreduce_buffer_0_127.0.0.1_{end}" for end in ("4321_0", "4321_1", "43210_0", "9_4321")]
    for name in names:
        (tmp_path / name).touch()
    collectives.unlink_buffers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[2:])


def test_buffers_of_ranks_that_were_killed_are_removed(tmp_path):
    names = ["used", "left", "new"]
    for name in names:
        buffer = tmp_path / f"deepspeed_allreduce_buffer_0_127.0.0.1_4321_{name}"
        buffer.write_bytes(b"0" * mmap.PAGESIZE)
        if name != "new":
            os.utime(buffer, (0, 0))
    (tmp_path / "another's").touch()
    os.utime(tmp_path / "another's", (0, 0))
    with (tmp_path / "deepspeed_allreduce_buffer_0_127.0.0.1_4321_used").open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    collectives.unlink_left_buffers(tmp_path)
    assert {path.name.rpartition("_")[2] for path in tmp_path.iterdir()} == {"used", "new", "another's"}
    mapped.close()
    collectives.unlink_left_buffers(tmp_path)
    assert {path.name.rpartition("_")[2] for path in tmp_path.iterdir()} == {"new", "another's"}


def test_shared_memory_needs_a_compiler_and_room(tmp_path, monkeypatch):
    monkeypatch.setattr(collectives.shutil, "which", lambda name: f"/bin/{name}" if name == "c++" else None)
    monkeypatch.setattr(collectives.shutil, "disk_usage", lambda _: SimpleNamespace(free=200_000_000))
    monkeypatch.setattr(collectives.sys, "platform", "linux")
    monkeypatch.delenv("CXX", raising=False)
    assert collectives.has_shared_memory(2, tmp_path)
    assert not collectives.has_shared_memory(3, tmp_path)
    assert not collectives.has_shared_memory(2, tmp_path / "none")
    monkeypatch.setenv("CXX", "none")
    assert not collectives.has_shared_memory(2, tmp_path)


def scenario(ranks: int, seconds: list[float]) -> SweepScenario:
    """One sequence of eleven tokens, which took so long in each process."""
    found = SweepScenario("mii", "float16", 1, 8, 11, "complete", tensor_parallel=ranks)
    found.prefill = [Sample(0.1, 8, 1) for _ in seconds]
    found.total = [Sample(s, 8, 11) for s in seconds]
    found.rounds = [1] * len(seconds)
    return found


def swept(*scenarios: SweepScenario, device: str = "cuda") -> SweepResult:
    lists = {"engines": ["mii"], "precisions": ["float16"], "batch_sizes": [1], "prompt_tokens": [8]}
    lists |= {"max_tokens": [11], "tensor_parallel": [1, 2]}
    settings = SweepSettings("llama", device, "random", 0, **lists, repetitions=1, warmups=1, processes=4)
    return SweepResult(settings, list(scenarios), environment=Environment(cpu="x"))


def test_the_scaling_efficiency_has_welch_s_interval():
    one, two = [2.0, 2.1, 1.9, 2.05], [1.2, 1.21, 1.25]
    sweep = swept(scenario(1, one), scenario(2, two))
    found = derived.efficiency(sweep, sweep.scenarios[1])
    assert found.value == pytest.approx(statistics.fmean(one) / statistics.fmean(two) / 2)
    errors = [statistics.stdev(s) / statistics.fmean(s) / math.sqrt(len(s)) for s in (one, two)]
    variance = sum(error**2 for error in errors)
    degrees = variance**2 / sum(error**4 / (len(s) - 1) for error, s in zip(errors, (one, two), strict=True))
    factor = math.exp(stats.t.ppf(0.975, degrees) * math.sqrt(variance))
    assert (found.low, found.high) == pytest.approx((found.value / factor, found.value * factor))
    assert found.high < 1  # of these two GPUs each gives less than one alone
    row = rows(sweep)[1]
    assert row.per_device == pytest.approx(11 / statistics.fmean(two) / 2)


def test_ranks_on_a_cpu_share_the_one_device():
    sweep = swept(scenario(1, [2.0, 2.1]), scenario(2, [1.0, 1.05]), device="cpu")
    assert derived.efficiency(sweep, sweep.scenarios[1]).value == pytest.approx(2.0)
    assert sweep.limits_key(sweep.scenarios[1]) == sweep.limits_key(sweep.scenarios[0])
    gpus = swept(*sweep.scenarios)
    assert [gpus.limits_key(found) for found in gpus.scenarios] == ["float16", "float16, 2 GPUs"]


def test_what_was_not_measured_has_no_efficiency():
    one, two = scenario(1, [2.0, 2.1]), scenario(2, [1.0, 1.1])
    assert derived.efficiency(swept(two), two) is None
    assert derived.efficiency(swept(dataclasses.replace(one, status="refused"), two), two) is None
    single = scenario(2, [1.0])
    assert derived.efficiency(swept(one, single), single).low is None


def test_the_table_of_scaling_is_of_sweeps_over_ranks_alone():
    sweep = swept(
        scenario(1, [2.0, 2.1]), scenario(2, [1.0, 1.05]), dataclasses.replace(scenario(2, []), status="failed")
    )
    (_, table, _) = scaling.tables(sweep)
    assert [row["ranks"] for row in table.rows] == ["1", "2", "2"]
    assert table.rows[0]["efficiency"] == "1"
    assert table.rows[1]["efficiency"].startswith("1.00 [") or table.rows[1]["efficiency"].startswith("1.000 [")
    assert table.rows[2]["tokens/s"] == "failed"
    alone = dataclasses.replace(sweep, settings=dataclasses.replace(sweep.settings, tensor_parallel=[2]))
    assert scaling.tables(alone) == []


@pytest.mark.parametrize(("ranks", "words"), [([1], []), ([2], ["2 ranks"]), ([1, 2], ["1 and 2 ranks"])])
def test_the_list_of_runs_names_several_ranks(ranks, words):
    entry = Entry("a", Path("a"), "run", datetime.datetime.now(), "complete", engines=["mii"], tensor_parallel=ranks)
    assert listing._ranks(entry) == words
