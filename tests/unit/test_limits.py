"""The limits of this machine's CPU, measured; and what of that can be known without a clock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import no_progress

from bench_deepspeed.machine import limits
from bench_deepspeed.measure import records
from bench_deepspeed.measure.records import Limits


def cache(folder: Path, kind: str, level: int, shared: str, size: str) -> None:
    """One cache as Linux describes it."""
    folder.mkdir(parents=True)
    for name, text in {"type": kind, "level": level, "shared_cpu_list": shared, "size": size}.items():
        (folder / name).write_text(f"{text}\n")


def test_bytes_and_flops_of_one_pass(monkeypatch):
    """With every pass taken for one second, the figures are the work of a pass."""
    passes = []
    monkeypatch.setattr(limits, "_best_s", lambda step, device: passes.append(step()) or 1.0)
    monkeypatch.setattr(limits, "BUFFER_BYTES", {"cpu": 4000})
    monkeypatch.setattr(limits, "cache_bytes", lambda device: None)
    found = limits.measure("cpu", "bfloat16", no_progress)
    copied, total, *products = passes
    assert (found.copy_bytes_per_s, copied.tolist()) == (2 * 4000, [1.0] * 1000)
    assert (found.read_bytes_per_s, total.item()) == (4000, 1000.0)
    assert found.matmul_flops_per_s == 2 * limits.SIDE["cpu"] ** 3
    assert {str(product.dtype) for product in products} == {"torch.bfloat16", "torch.float32"}
    for product in products:
        assert product.shape == (limits.SIDE["cpu"], limits.SIDE["cpu"])
        assert product.std() > 0


@pytest.mark.parametrize(("device", "figure"), [("cpu", 7.0), ("cuda", 1.0)])
def test_a_cpu_can_compute_in_float32_what_is_stored_in_16_bits(monkeypatch, device, figure):
    monkeypatch.setattr(limits, "_product_flops_per_s", lambda _, name: {"bfloat16": 1.0, "float32": 7.0}[name])
    assert limits.matmul_flops_per_s(device, "bfloat16") == figure


def test_a_copy_is_timed_while_other_programs_take_memory(monkeypatch):
    free = iter([16_000, 8_000])
    monkeypatch.setattr(limits, "free_bytes", lambda device: next(free))
    monkeypatch.setattr(limits, "_best_s", lambda step, device: step() is None or 1.0)
    assert limits.copy_bytes_per_s("cpu") > 0


def test_the_product_grows_until_it_takes_a_while(monkeypatch):
    sides, seconds = [], iter([limits.PRODUCT_S / 3, limits.PRODUCT_S * 2])
    monkeypatch.setattr(limits, "_best_s", lambda step, device: sides.append(step().shape[0]) or next(seconds))
    monkeypatch.setattr(limits, "SIDE", {"cpu": 4})
    assert limits.matmul_flops_per_s("cpu", "float32") == 2 * 8**3 / (limits.PRODUCT_S * 2)
    assert sides == [4, 8]


def test_the_best_pass_counts_and_passes_are_repeated():
    calls = []
    assert 0 < limits._best_s(lambda: calls.append(None), "cpu") < limits.MINIMUM_S
    assert len(calls) > 1000


@pytest.mark.parametrize(
    ("cached", "free", "size"),
    [(None, 10**12, 4000), (100, 10**12, 4000), (10_000, 10**12, 80_000), (10_000, 8000, 1000)],
    ids=["unknown caches", "small caches", "large caches", "little memory"],
)
def test_the_buffer_exceeds_the_caches_as_far_as_memory_allows(monkeypatch, cached, free, size):
    monkeypatch.setattr(limits, "BUFFER_BYTES", {"cpu": 4000})
    monkeypatch.setattr(limits, "cache_bytes", lambda device: cached)
    monkeypatch.setattr(limits, "free_bytes", lambda device: free)
    assert limits._buffer("cpu").nbytes == size


def test_of_two_measurements_the_better_figure_of_each_kind():
    best = records.best_of(Limits(1.0, 6.0, 3.0, "float32", 7, 0.9), Limits(4.0, 2.0, 5.0, "float32", 7, 0.5))
    assert best == Limits(4.0, 6.0, 5.0, "float32", 7, 0.5)
    assert records.best_of(Limits(1.0, 1.0, 1.0, "float32"), Limits(1.0, 1.0, 1.0, "float32")).cpu_share is None


def test_shared_caches_count_once_and_instructions_not_at_all(tmp_path):
    for cpu in (0, 1):
        folder = tmp_path / f"cpu{cpu}" / "cache"
        cache(folder / "index0", "Data", 1, str(cpu), "32K")
        cache(folder / "index1", "Instruction", 1, str(cpu), "32K")
        cache(folder / "index2", "Unified", 3, "0-1", "16M")
    cache(tmp_path / "cpu2" / "cache" / "index0", "Unified", 3, "2-3", "16M")
    assert limits.host_cache_bytes(tmp_path, {0, 1}) == 2 * 32 * 1024 + 16 * 1024**2
    assert limits.host_cache_bytes(tmp_path, {0, 2}) == 32 * 1024 + 2 * 16 * 1024**2


def test_caches_that_the_system_does_not_report_are_none(tmp_path):
    (tmp_path / "cpu0" / "cache" / "index0").mkdir(parents=True)
    assert limits.host_cache_bytes(tmp_path, {0}) is None
    assert limits.host_cache_bytes(tmp_path / "absent", os.sched_getaffinity(0)) is None
