"""A whole run with an engine of known latency: samples, statistics, failures, signals, files."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil

import pytest

from bench_deepspeed.benchmarks.common.run_folder import RunFolder, make_folder
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.measure.records import Memory, Reading, Result, Run, Sample, Scenario

SCENARIO = Scenario("smollm2", "fake", "cpu", "float32", "pretrained", "naïve “prompt” \U0001f600", 8, 3, 3, None, 7)


def test_a_void_sample_is_left_out_of_the_valid_ones():
    good, void = Sample(2.0, 3, 8), Sample(1.0, 3, 7)
    result = Result(SCENARIO, runs=[Run(samples=[good, void]), Run(samples=[void, good, good])])
    assert result.valid_samples == [good] * 3
    assert result.void_count == 2


class FrozenTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)


def test_runs_of_one_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(datetime, "datetime", FrozenTime)
    names = [make_folder(tmp_path).name for _ in range(3)]
    assert names == ["2026-01-02T03-04-05", "2026-01-02T03-04-05.1", "2026-01-02T03-04-05.2"]


def test_a_full_disk_is_the_machines_lack(tmp_path):
    """The folder goes away under a run: writing fails as it does when the disk is full."""
    with (
        pytest.raises(MachineError, match="cannot write"),
        RunFolder(tmp_path, "result.json", Result(SCENARIO)) as folder,
    ):
        shutil.rmtree(folder.folder)
        folder.save()


@pytest.mark.parametrize(
    "result",
    [
        Result(SCENARIO),
        Result(
            SCENARIO,
            status="complete",
            model={"name": "é"},
            runs=[Run(1.5, None, True, [Sample(0.1, 2, 8)], [Sample(1 / 3, 2, 8, Reading(temperature_c=40))])],
            memory=Memory(weights_bytes=1),
        ),
    ],
    ids=["empty", "full"],
)
def test_a_result_survives_saving(tmp_path, result):
    result.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == result
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 999}, "schema version is 999"),
        ({"schema_version": None}, "schema version is None"),
        ({"scenario": {"model": "smollm2"}}, r"scenario\.engine: Field required"),
        ({"runs": [{"samples": [{"seconds": 1.0}]}]}, r"runs\.0\.samples\.0\.prompt_tokens: Field required"),
        ({"runs": [{"load_s": "long"}]}, r"runs\.0\.load_s"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_file_of_another_schema_is_refused(tmp_path, change, words):
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**dataclasses.asdict(Result(SCENARIO)), **change}))
    with pytest.raises(BenchError, match=f"is not a result of this suite.*{words}"):
        Result.load(path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema_version": 1}', "null"])
def test_a_file_that_is_no_result_is_refused(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(BenchError, match="is not a result of this suite"):
        Result.load(path)


@pytest.mark.parametrize(
    ("flag", "place"), [("--output_dir", "file/below"), ("-lf", "file/below.log"), ("-lf", "folder")]
)
def test_a_place_that_cannot_be_written_is_one_line(bench, tmp_path, flag, place):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    arguments = ("-d", "cpu", "--engine", "fake", "--output_dir", "out", flag, place)
    message = bench.refusal(3, *arguments)
    assert message.startswith("cannot write")
    assert f"name another with {flag}" in message
    assert list(tmp_path.rglob("result.json")) == []
    assert list(tmp_path.glob("out/smollm2/*")) == []
