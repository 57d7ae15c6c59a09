"""A container's limits, from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench_deepspeed.machine import cgroup, environment
from bench_deepspeed.machine.cgroup import Limits


def machine(root: Path, groups: str, **files: str) -> Path:
    """A root folder with /proc/self/cgroup, and files of groups: path with __ for / → content."""
    for name, text in {"proc/self/cgroup": groups, **{k.replace("__", "/"): v for k, v in files.items()}}.items():
        path = root / (name if name.startswith("proc") else f"sys/fs/cgroup/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_no_limits(tmp_path):
    assert cgroup.limits(tmp_path) == Limits()
    path = machine(tmp_path, "0::/", **{"cpu.max": "max 100000", "memory.max": "max", "memory.current": "5"})
    assert cgroup.limits(path) == Limits()
    v1 = {"memory/memory.limit_in_bytes": "9223372036854771712", "cpu,cpuacct/cpu.cfs_quota_us": "-1"}
    v1["cpu,cpuacct/cpu.cfs_period_us"] = "100000"
    assert cgroup.limits(machine(tmp_path / "v1", "4:memory:/\n3:cpu,cpuacct:/", **v1)) == Limits()


def test_version_2_in_a_container(tmp_path):
    files = {"cpu.max": "150000 100000", "memory.max": "4000", "memory.current": "3000"}
    files["memory.stat"] = "anon 2000\ninactive_file 700"
    assert cgroup.limits(machine(tmp_path, "0::/", **files)) == Limits(1.5, 4000, 1700)


def test_the_smallest_limit_of_the_groups_around_counts(tmp_path):
    files = {
        "user.slice/cpu.max": "50000 100000",
        "user.slice/job/cpu.max": "200000 100000",
        "user.slice/memory.max": "max",
        "user.slice/job/memory.max": "1000",
        "user.slice/job/memory.current": "400",
    }
    assert cgroup.limits(machine(tmp_path, "0::/user.slice/job", **files)) == Limits(0.5, 1000, 600)


def test_version_1_with_a_group_as_the_host_sees_it(tmp_path):
    """In a container the group's own folder is not there; its limits are at the mount's root."""
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "50000",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "2000",
        "memory/memory.usage_in_bytes": "500",
        "memory/memory.stat": "total_inactive_file 100",
    }
    groups = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc"
    assert cgroup.limits(machine(tmp_path, groups, **files)) == Limits(0.5, 2000, 1600)


@pytest.mark.parametrize("text", ["", "what", "1 2 3", "\x00"])
def test_odd_files_are_no_limit(tmp_path, text):
    names = ("cpu.max", "memory.max", "memory.current", "memory.stat")
    assert cgroup.limits(machine(tmp_path, "0::/", **dict.fromkeys(names, text))) == Limits()


def test_the_recorded_memory_is_what_may_be_used(monkeypatch):
    physical, free = environment.memory_bytes(), environment.free_memory_bytes("cpu")
    monkeypatch.setattr(cgroup, "limits", lambda: Limits(0.5, 10 << 20, 7 << 20))
    assert (environment.memory_bytes(), environment.free_memory_bytes("cpu")) == (10 << 20, 7 << 20)
    monkeypatch.setattr(cgroup, "limits", lambda: Limits(None, 1 << 60, 1 << 60))
    assert environment.memory_bytes() >= physical
    assert environment.free_memory_bytes("cpu") > free / 2
