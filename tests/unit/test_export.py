"""`bench.sh report --format`: any files of results as flat lines and as Markdown; what is none is refused."""

from __future__ import annotations

import functools
import json
import operator
import shutil
from types import SimpleNamespace

import pytest
from support import ROOT

from bench_deepspeed.benchmarks.common import columns
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.measure.records import Result
from bench_deepspeed.report import flat_files
from bench_deepspeed.results import export, flat
from bench_deepspeed.results import files as evidence


def test_every_row_has_its_columns_and_no_other(files):
    for item in evidence.read([*files, *evidence.published()]):
        identity = flat.identity(item)
        for row in flat.rows_of(item):
            assert identity.keys() <= row.keys() == flat.columns_of(item.kind).keys()
        assert all(row.keys() == columns.SAMPLES.keys() for row in flat.samples_of(item))


def test_a_number_that_is_none_is_null():
    assert flat_files.as_jsonl([{"a": float("nan"), "b": 1.5}]) == '{"a": null, "b": 1.5}\n'


def test_comparisons_are_published_too(files, tmp_path):
    place = tmp_path / "ab"
    place.mkdir()
    shutil.copy(files[-1], place / "smollm2.json")
    assert place / "smollm2.json" in evidence.published(tmp_path)


ALTERED = {
    "a fact": ("result.json", ["environment", "cpu_count"], "x"),
    "a GPU": ("result.json", ["environment", "gpu_used"], ["H", "100"]),
    "no token": ("result.json", ["scenario", "max_tokens"], 0),
    "no limit": ("result.json", ["limits", "matmul_flops_per_s"], 0),
    "no window": ("load.json", ["levels", 0, "window_s"], [1.0, 1.0]),
    "a spread": ("load.json", ["workload", "spread"], "x"),
    "no time": ("sweep.json", ["scenarios", 0, "total", 0, "seconds"], 0),
    "a title": ("result.json", ["model", "title"], 5),
    "packages": ("ab.json", ["a", "environment", "packages"], 5),
    "no tokens of a side": ("ab.json", ["a", "scenario", "max_tokens"], 0),
}


@pytest.mark.parametrize(("name", "place", "value"), ALTERED.values(), ids=ALTERED.keys())
def test_what_is_altered_is_shown_or_named_in_one_line(files, tmp_path, name, place, value):
    """Some formats do not need what was altered; none ends in a traceback."""
    refused = 0
    content = json.loads((tmp_path / name).read_text())
    *above, last = place
    functools.reduce(operator.getitem, above, content)[last] = value
    (tmp_path / name).write_text(json.dumps(content))
    for form in export.FORMATS:
        options = SimpleNamespace(files=files, format=form, output=tmp_path / "out", samples=False)
        try:
            export.run(options)
        except UsageError as error:
            assert f"{name} is " in str(error) and "\n" not in str(error)
            refused += 1
    assert refused


def test_no_folder_of_a_user_is_named(files, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert [item.name for item in evidence.read(files)] == [f"{path.parent.name}/{path.name}" for path in files]


def test_a_loaded_result_is_what_was_saved(files):
    (item,) = evidence.read(files[:1])
    assert item.content == Result.load(files[0])
