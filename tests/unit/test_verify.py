"""`bench.sh report --verify`: a line for each file, and an exit code."""

from __future__ import annotations

import json
import re

import pytest
from support import ROOT, error_of, unwrapped

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common import evidence


@pytest.fixture
def closed(files):
    """The file of a load test, which holds whatever version wrote it."""
    path = next(path for path in files if path.name == "load.json")
    data = json.loads(path.read_text())
    data["stopped"] = None  # it was no rate
    path.write_text(json.dumps(data))
    evidence.close(registry.kind("load"), path)
    return path


def test_a_file_is_verified_or_named_with_what_differs(bench, closed):
    done = bench("report", "--verify", closed.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert "load.json: verified: " in unwrapped(done.stdout)
    closed.write_text(closed.read_text().replace('"tokens_in_window": 50', '"tokens_in_window": 51'))
    done = bench("report", "--verify", closed.name)
    assert done.returncode == 1
    assert "load.json: differs: levels does not match its SHA-256 in digests" in unwrapped(done.stdout)
    assert error_of(done.stderr) == "1 of 1 files failed: load.json"


def test_what_is_no_result_is_one_line(bench, closed, tmp_path):
    (tmp_path / "other.json").write_text('{"kind": "holiday"}')
    (tmp_path / "cut.json").write_text(closed.read_text()[:1000])
    faults = {"other.json": "is not a result of this suite", "cut.json": "is damaged", "no.json": "No such file"}
    for name, words in faults.items():
        error = bench.refusal(2, "report", "--verify", name)
        assert name in error
        assert words in error


def test_a_damaged_file_counts_as_failed_and_the_others_are_verified(bench, closed, tmp_path):
    (tmp_path / "cut.json").write_text(closed.read_text()[:1000])
    altered = tmp_path / "altered.json"
    altered.write_text(closed.read_text().replace('"tokens_in_window": 50', '"tokens_in_window": 51'))
    done = bench("report", "--verify", "cut.json", closed.name)
    assert done.returncode == 2
    assert "cut.json: failed: cut.json is damaged" in unwrapped(done.stdout)
    assert "load.json: verified: " in unwrapped(done.stdout)
    assert error_of(done.stderr) == "1 of 2 files failed: cut.json"
    done = bench("report", "--verify", "cut.json", altered.name, closed.name)
    assert done.returncode == 1
    assert error_of(done.stderr) == "2 of 3 files failed: cut.json, altered.json"
    # the field, and the value that follows from it
    assert re.search(
        r"altered\.json: differs: levels does not .*; derived\.\d\.\w+ is \S+ in the file, \S+ recomputed",
        unwrapped(done.stdout),
    )


def test_without_files_all_that_is_published_is_verified(bench):
    done = bench("report", "--verify", cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "docs/results/quality/smollm2-mii-h100.json: " in done.stdout


@pytest.mark.parametrize("flags", [["--check"], ["--format", "csv"], ["--samples"], ["--output", "x"]])
def test_it_writes_nothing(bench, flags):
    assert "--verify writes nothing" in bench.refusal(2, "report", "--verify", *flags)
