"""`bench.sh results`: what is found, listed and shown, and what is never deleted."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import threading
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from builders import DAMAGED, REASONS, save_ab
from builders import comparison_of as comparison
from support import unwrapped

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common.run_folder import make_folder
from bench_deepspeed.core import folder_lock
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.folder_lock import hold, unheld
from bench_deepspeed.results import command, listing, prune
from bench_deepspeed.results.entries import Entry, read_entry
from bench_deepspeed.results.find import folders

FILES = {kind.file: kind.name for kind in registry.kinds()}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_listed_with_the_reason(logs, file, damage):
    folder = logs / "llama" / "2026-01-01T10-00-00"
    folder.mkdir(parents=True)
    text = DAMAGED[damage]
    (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    (run,) = folders(logs)
    entry = read_entry(run)
    assert (entry.status, entry.kind) == ("unreadable", FILES[file])
    assert f"{file} {REASONS[damage]}" in entry.error
    assert "\n" not in entry.error
    assert f"{entry.id}: unreadable: {entry.error}" in unwrapped(listing.text([entry]))


def test_status_and_warnings_are_shown_in_80_columns(tmp_path):
    run = Entry("smollm2/load/2026-11-24T12-00-00", tmp_path, "run", datetime.now(timezone.utc), "complete")
    codes = ["no_interval", "few_samples", "not_checked"]
    one = dataclasses.replace(run, models=["smollm2"], engines=["mii"], device="NVIDIA H100 80GB HBM3", warnings=codes)
    fast = dataclasses.replace(one, speed="188.97 [158.52, 225.77]")
    ended = dataclasses.replace(one, speed="1352.20 (32 clients)", status="interrupted", warnings=[])
    text = listing.text([fast, ended])
    assert re.search(r"\| 188\.97 +\| complete +\| 3 +\|", text)
    assert re.search(r"\| 1352\.20 +\| interrupted +\| none +\|", text)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("seconds", [([0.0], [1.0]), ([1.0, 1.0], [1.0])], ids=["no time", "half a round"])
def test_a_comparison_that_no_ratio_can_be_made_of_is_unreadable(logs, seconds):
    save_ab(logs, 1, comparison(seconds))
    entry = read_entry(*folders(logs))
    assert (entry.status, "ab.json is not a comparison (ab)" in entry.error) == ("unreadable", True)


def test_a_reader_does_not_hold_the_lock(tmp_path):
    with unheld(tmp_path) as free, unheld(tmp_path) as again:
        assert (free, again) == (True, True)
    hold(tmp_path)
    with unheld(tmp_path) as free:
        assert not free


def test_a_process_gets_the_lock_while_another_reads_it(tmp_path):
    with unheld(tmp_path):
        coming = threading.Thread(target=hold, args=[tmp_path])
        coming.start()
        coming.join(0.05)
        assert coming.is_alive()
    coming.join()
    with unheld(tmp_path) as free:
        assert not free


def test_a_folder_is_held_by_one_only(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "WAIT_S", 0.05)
    hold(tmp_path)
    with pytest.raises(UsageError, match="another process is at work in"):
        hold(tmp_path)


def test_every_folder_that_the_suite_makes_is_held(tmp_path):
    with unheld(make_folder(tmp_path)) as free:
        assert not free


def test_what_another_process_deletes_at_the_same_time_is_no_error(logs, monkeypatch, capsys):
    """Two `prune --yes` at once: files go while this one deletes them, then whole folders."""
    for day in (1, 2):
        one = comparison(([1.0], [1.0]))
        one.status = "complete"
        save_ab(logs, day, one)
    first, second = map(read_entry, folders(logs))
    (first.folder / "sub").mkdir()
    rmdir = os.rmdir

    def gone(path, **options):
        rmdir(path, **options)
        rmdir(path, **options)

    monkeypatch.setattr(os, "rmdir", gone)
    assert prune._removed(first, logs, really=True)
    monkeypatch.undo()
    shutil.rmtree(second.folder)
    assert not prune._removed(second, logs, really=True)
    assert capsys.readouterr().out.splitlines()[-1] == f"left alone: {second.id}: another process deleted it"
    assert folders(logs) == []


@pytest.mark.parametrize(("beginning", "wanted"), [("c0f", True), ("bead", True), ("ead", False), (None, True)])
def test_what_went_on_at_another_commit_is_of_both(beginning, wanted):
    entry = SimpleNamespace(commit="c0ffee+changes, bead", kind="sweep", status="complete")
    options = SimpleNamespace(model=None, engine=None, kind=None, status=None, since=None, commit=beginning)
    assert command._wanted(entry, options) is wanted
