"""Weights on disk: conversion value for value, random values, and folders that are whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from builders import RANDOM, TINY
from safetensors.torch import load_file
from support import no_progress

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.quality import reference
from bench_deepspeed.core.errors import MachineError, UsageError, WeightsError
from bench_deepspeed.model import arithmetic, catalog
from bench_deepspeed.weights import package, random, shards, store


@pytest.mark.parametrize(
    ("query_heads", "kv_heads", "repeats"),
    [(9, 3, 3), (32, 8, 1), (32, 32, 1), (32, 4, 1), (6, 2, 3), (18, 2, 9), (20, 2, 2), (71, 1, 1), (13, 1, 13)],
)
def test_kv_repeats(query_heads, kv_heads, repeats):
    assert arithmetic.kv_repeats(query_heads, kv_heads) == repeats
    assert query_heads // (kv_heads * repeats) in arithmetic.KERNEL_RATIOS


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([40, 60, 1], [[0, 1], [2]]),
        ([100, 100], [[0], [1]]),
        ([250, 10, 20], [[0], [1, 2]]),
        ([10, 250, 20], [[0], [1], [2]]),
        ([1, 2, 3], [[0, 1, 2]]),
    ],
)
def test_shards_hold_what_fits_in_order(monkeypatch, sizes, groups):
    monkeypatch.setattr(shards, "SHARD_BYTES", 100)
    assert shards._group(dict(enumerate(sizes))) == groups


@pytest.mark.parametrize(
    ("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)]
)
def test_published_files_have_the_modes_of_new_files(tmp_path, mask, file, folder):
    """Libraries write some of them for their user alone, and a models folder may be shared."""
    partial = store.partial_of(tmp_path / "made")
    (partial / "below").mkdir(parents=True, mode=0o700)
    for name in ("model.safetensors", "below/config.json"):
        (partial / name).touch()
        (partial / name).chmod(0o600)
    before = os.umask(mask)
    try:
        store.publish(tmp_path / "made", {"weights": "random"}, no_progress)
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "made").rglob("*") if path.is_file()}
    assert (modes, (tmp_path / "made" / "below").stat().st_mode & 0o777) == ({file}, folder)
    assert store.damage_of(tmp_path / "made") is None


def test_a_lock_that_cannot_be_opened_is_one_line(tmp_path):
    (tmp_path / ".lock").mkdir()  # as root may open any file
    with (
        pytest.raises(
            MachineError, match=r"cannot lock .*\.lock .*: have its owner make it writable, or .*--models_dir"
        ),
        store.locked(tmp_path, no_progress),
    ):
        pass


def test_a_lock_is_for_all_whom_the_umask_lets_write(tmp_path):
    before = os.umask(0o002)
    try:
        with store.locked(tmp_path, no_progress):
            assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


def test_a_reference_lies_with_the_run_where_nothing_can_be_written_next_to_the_weights(tmp_path, monkeypatch):
    cache, run = tmp_path / "models", tmp_path / "run"
    cache.mkdir()
    assert reference.place_of("reference-1", cache, run) == cache / "reference-1"
    monkeypatch.setattr(os, "access", lambda path, _: path != cache)  # root may write to any folder
    assert reference.place_of("reference-1", cache, run) == run / "reference-1"
    store.partial_of(cache / "reference-1").mkdir()
    store.publish(cache / "reference-1", {}, no_progress)
    assert reference.place_of("reference-1", cache, run) == cache / "reference-1"


def test_a_models_dir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="--models_dir"):
        weights.prepare(tmp_path / "file", TINY, RANDOM, no_progress)


def test_a_disk_that_is_too_small(tmp_path):
    store.require_disk(tmp_path / "not" / "there", 1)
    with pytest.raises(MachineError, match="make room"):
        store.require_disk(tmp_path / "not" / "there", 1 << 62)


@pytest.fixture
def published(tmp_path) -> Path:
    """A folder with two files, published."""
    folder = tmp_path / "weights"
    partial = store.partial_of(folder)
    (partial / "below").mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(bytes(1000))
    (partial / "below" / "config.json").write_text("{}")
    store.publish(folder, {"weights": "pretrained"}, no_progress)
    return folder


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"!")
    os.utime(path, ns=(0, 0))  # a clock too coarse to distinguish the two writes


@pytest.mark.parametrize(
    ("harm", "name", "words"),
    [
        (truncate, "model.safetensors", "999 bytes instead of 1000"),
        (alter, "model.safetensors", "was altered"),
        (Path.unlink, "model.safetensors", "model.safetensors is missing"),
        (alter, "below/config.json", "was altered"),
        (Path.unlink, "below/config.json", "is missing"),
        (Path.unlink, store.STAMP, "was never completed"),
        (truncate, store.STAMP, "was never completed"),
    ],
)
def test_damage_is_named(published, harm, name, words):
    assert store.damage_of(published) is None
    harm(published / name)
    damage = store.damage_of(published)
    assert words in damage
    assert str(published) in damage


def test_a_folder_that_is_not_there_was_never_completed(tmp_path):
    assert "was never completed" in store.damage_of(tmp_path / "nothing")
    assert store.stamp_of(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    "files",
    [
        {"../model.safetensors": [1, 1, ""]},
        {"/etc/hostname": [1, 1, ""]},
        {"a\\b": [1, 1, ""]},
        {"a\0b": [1, 1, ""]},
        {"a": [1, 1]},
        {"a": ["1", 1, ""]},
        {"a": {"size": 1}},
        ["a"],
        None,
    ],
)
def test_a_stamp_that_no_run_writes_is_none(published, files):
    (published / store.STAMP).write_text(json.dumps({"facts": {}, "files": files}))
    assert store.stamp_of(published) is None
    assert "was never completed" in store.damage_of(published)


@pytest.mark.parametrize("name", ["../models/llama", "nothing", "", "llama\0"])
def test_a_model_is_one_of_the_catalogue(name):
    with pytest.raises(UsageError, match="is not a model of this suite: it has llama"):
        catalog.load(name)


def test_touched_but_equal_is_no_damage(published):
    for path in published.rglob("*.*"):
        os.utime(path, ns=(12345, 12345))
    assert store.damage_of(published) is None


def test_the_digest_is_of_the_weights_alone(published):
    digest = store.digest_of(published)
    zeros = hashlib.sha256(bytes(1000)).hexdigest()
    assert digest == hashlib.sha256(f"model.safetensors {zeros}\n".encode()).hexdigest()


def test_publishing_replaces_what_lay_there_and_leaves_no_partial(published):
    partial = store.partial_of(published)
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"new")
    store.publish(published, {"weights": "random"}, no_progress)
    assert sorted(path.name for path in published.iterdir()) == [store.STAMP, "model.safetensors"]
    assert store.stamp_of(published)["facts"] == {"weights": "random"}
    assert store.damage_of(published) is None
    assert not partial.exists()


CONTENT = b"the weights of a small model"
SOURCE = {
    "package": "bench-test-data",
    "version": "1.0",
    "file": "bench_test_data/model.gguf",
    "bytes": len(CONTENT),
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
}


@pytest.fixture
def site(tmp_path) -> Path:
    """A folder in which a package with one data file is installed."""
    info = tmp_path / "site" / "bench_test_data-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-test-data\nVersion: 1.0\n")
    data = tmp_path / "site" / SOURCE["file"]
    data.parent.mkdir()
    data.write_bytes(CONTENT)
    return tmp_path / "site"


def test_a_package_is_found_on_pythons_path(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    assert package.locate(SOURCE) == site / SOURCE["file"]


def test_a_package_is_found_where_setup_puts_it(site, monkeypatch):
    monkeypatch.setattr(package, "MODEL_DATA", site)
    assert package.locate(SOURCE) == site / SOURCE["file"]


@pytest.mark.parametrize(
    ("harm", "words"),
    [(truncate, "bytes instead of"), (alter, "SHA-256 differs"), (Path.unlink, "is missing")],
)
def test_a_packages_file_that_is_not_the_pinned_one_is_refused(site, monkeypatch, harm, words):
    monkeypatch.syspath_prepend(site)
    harm(site / SOURCE["file"])
    with pytest.raises(WeightsError, match=f"{words}.*setup.sh --force"):
        package.locate(SOURCE)


def test_a_package_that_is_not_installed_is_the_machines_lack():
    with pytest.raises(MachineError, match="bench-test-data==1.0 is not installed.*setup.sh --force"):
        package.locate(SOURCE)


@pytest.mark.parametrize("source", [catalog.load("smollm2").source, random.TOKENIZER], ids=["smollm2", "tokenizer"])
def test_the_installed_packages_hold_the_pinned_files(source):
    path = package.locate(source)
    assert path.stat().st_size == source["bytes"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == source["sha256"]


def test_full_disk_is_reported_as_such(tmp_path):
    file = tmp_path / "model.safetensors"
    file.symlink_to("/dev/full")
    with pytest.raises(MachineError, match="No space left"), store.disk_errors(tmp_path), file.open("w") as opened:
        opened.write("any")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match="damaged"), store.disk_errors(damaged):
        load_file(damaged)
