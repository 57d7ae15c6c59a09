"""The environment of a result: read, merged, shared between sides, and what of it must be recorded."""

from __future__ import annotations

import dataclasses
import json

import pytest
from builders import ENVIRONMENT
from support import ROOT

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.ab.records import shared
from bench_deepspeed.benchmarks.common.kind import machine_of
from bench_deepspeed.benchmarks.common.provenance import environment_facts, lacking, origin
from bench_deepspeed.machine import environment, software
from bench_deepspeed.measure.records import Environment
from bench_deepspeed.results import files
from bench_deepspeed.worker import messages, tasks

FACTS = [field.name for field in dataclasses.fields(Environment)]


def environments(content: dict) -> list[dict]:
    """Those of a file; a comparison has one on each side."""
    sides = [content[side] for side in "ab"] if "a" in content else [content]
    return [{name: value for name, value in side["environment"].items() if value is not None} for side in sides]


@pytest.mark.parametrize("path", files.published(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_of_a_published_environment_is_dropped(path):
    content = json.loads(path.read_text())
    loaded = registry.kind_of(content).load(path)
    assert environments(content) == environments(dataclasses.asdict(loaded))


def test_what_became_known_later_is_added_and_replaces_what_was_known():
    later = Environment(python="3.13.0", packages={"torch": "2.14.0"}, gpu_slowdown_c=87)
    merged = ENVIRONMENT.updated(later)
    assert merged == dataclasses.replace(ENVIRONMENT, **later.facts)
    assert ENVIRONMENT.updated(Environment()) == ENVIRONMENT
    assert Environment().updated(ENVIRONMENT) == ENVIRONMENT


def test_facts_are_what_is_recorded_as_in_the_json():
    assert ENVIRONMENT.facts == json.loads(json.dumps(ENVIRONMENT.facts))
    assert ENVIRONMENT.facts["gpus"] == [
        {"name": "Some GPU", "capability": "9.0", "memory_mib": 81920, "driver": "580.1"}
    ]
    unknown = {"cpu_quota", "memory_bytes", "load_average_1min", "gpu_slowdown_c", "command", "lock", "source"}
    assert set(FACTS) - set(ENVIRONMENT.facts) == unknown
    assert "lock" not in dataclasses.replace(ENVIRONMENT, lock="torch==2.13.0").facts  # for programs
    assert Environment(packages={"torch": None}, gpus=[]).facts == {"packages": {"torch": None}, "gpus": []}
    assert environment_facts(Environment(gpus=[]).facts) == {"gpus": "none"}


@pytest.mark.parametrize("name", [name for name in FACTS if name in ENVIRONMENT.facts and name != "packages"])
def test_what_differs_between_two_sides_is_not_shared(name):
    other = dataclasses.replace(ENVIRONMENT, **{name: None})
    assert shared(ENVIRONMENT, ENVIRONMENT) == ENVIRONMENT
    assert shared(ENVIRONMENT, other) == shared(other, ENVIRONMENT) == other


def test_packages_are_shared_one_by_one():
    sides = [Environment(packages={"torch": torch, "mii": None, "numpy": "2.0"}) for torch in ("2.12.0", "2.13.0")]
    assert shared(*sides) == Environment(packages={"mii": None, "numpy": "2.0"})
    assert shared(sides[0], Environment()) == Environment()


@pytest.mark.parametrize("name", [name for name in FACTS if name in ENVIRONMENT.facts])
def test_a_fact_that_the_provenance_needs_is_missed_by_its_name(name):
    not_needed = {"commit", "nvcc", "torch_threads"}
    of_the_gpu = {"gpus", "gpu_used", "driver_cuda", "torch_cuda"}
    less = dataclasses.replace(ENVIRONMENT, **{name: None})
    assert lacking(less, "cuda") == (None if name in not_needed else name)
    assert lacking(less, "cpu") == (None if name in not_needed | of_the_gpu else name)
    sentence = origin(less, "cuda", "2026-01-02")
    assert (f"{name!r} is missing" in sentence) == (name not in not_needed)
    assert "None" not in sentence


def test_a_machine_without_a_name_is_called_by_its_device():
    assert [machine_of(Environment(), device) for device in ("cpu", "cuda")] == ["cpu", "cuda"]
    assert machine_of(dataclasses.replace(ENVIRONMENT, gpu_used=None), "cuda") == "Some GPU"


def test_this_machine_is_recorded_and_crosses_the_socket(monkeypatch):
    monkeypatch.setattr(environment, "_output", lambda *command: None)  # no nvidia-smi, nvcc or git
    host = environment.host_facts()
    assert host.source == software.source_digest()
    assert {"suite", "python", "packages", "system", "cpu", "cpu_count", "memory_bytes", "gpus"} <= host.facts.keys()
    data = json.loads(json.dumps(messages.encode_result(tasks.software, host)))
    assert messages.decode_result(tasks.software, data) == host
    assert environment.software().facts.keys() == {"python", "packages"}


def test_the_lock_names_every_distribution_once_in_the_version_that_is_imported():
    lock = software.lock().split()
    names = [word.partition("==")[0] for word in lock]
    assert names == sorted(set(names))
    for name, version in environment.software().packages.items():
        assert (f"{name}=={version}" in lock) == (version is not None)


def test_the_digest_of_the_source_changes_with_any_file(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text("a = 1")
    before = software.digest_of(tmp_path)
    (tmp_path / "notes.txt").write_text("not code")
    assert software.digest_of(tmp_path) == before
    (tmp_path / "inner" / "a.py").rename(tmp_path / "a.py")
    renamed = software.digest_of(tmp_path)
    (tmp_path / "a.py").write_text("a = 2")
    assert len({before, renamed, software.digest_of(tmp_path)}) == 3
