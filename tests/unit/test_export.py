"""`bench.sh report --format`: any files of results as flat lines and as Markdown; what is none is refused."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import math
import operator
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import ab, result
from support import ROOT

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common import columns
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.measure.records import EngineDescription, Environment, Latency, Limits, Result, Sample
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
    for form in export.WRITERS:
        options = SimpleNamespace(files=files, format=form, output=tmp_path / "out", samples=False, gpu_hour=None)
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


def report(bench, *arguments: str | Path) -> str:
    """What `bench.sh report` prints when all is well."""
    done = bench("report", *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_first_process_says_how_long_compiling_took(bench, tmp_path):
    one = result(processes=2)
    one.runs[0].compile_s, one.runs[1].compile_s = 50.0, 3.0
    one.save(tmp_path / "compiled.json")
    (row,) = read_csv(report(bench, "compiled.json", "--format", "csv"))
    assert row["compile_s"] == "50.0"


def test_a_comparison_is_one_line_with_both_sides(bench, files):
    (row,) = read_csv(report(bench, files[-2], "--format", "csv"))
    ratio, half_width = 1 / math.sqrt(1.25 * 1.6), 12.7062047 * math.log(1.6 / 1.25) / 2
    assert float(row["ratio"]) == pytest.approx(ratio)
    assert float(row["ratio_low"]) == pytest.approx(ratio * math.exp(-half_width))
    assert float(row["ratio_high"]) == pytest.approx(ratio * math.exp(half_width))
    assert (row["pairs"], row["rounds"], row["faster"], row["device_name"]) == ("2", "4", "", "Some GPU")
    assert row["verdict"].startswith("no difference shown: B ∕ A is 0.7")
    assert (row["model"], row["precision"], row["torch"]) == ("llama", "float16", "2.13.0")
    assert (row["engine"], row["a_engine"], row["b_engine"]) == ("", "mii", "transformers")
    assert row["b_configuration"] == "transformers, float16, HOW=slowly"
    assert (row["a_tokens_per_s_mean"], row["b_tokens_per_s_mean"]) == ("4.0", str(16 / 5.7))
    assert row["warnings"].split() == ["not_checked", "not_checked", "few_pairs", "wide_interval", "not_idle"]


def test_of_a_comparison_what_differs_is_in_no_common_column(bench, tmp_path):
    one = ab()
    one.b.scenario = dataclasses.replace(one.b.scenario, precision="bfloat16")
    packages = {**one.b.environment.packages, "torch": "2.12.0"}
    one.b.environment = dataclasses.replace(one.b.environment, packages=packages)
    one.b.runs[0].compile_s = 50.0
    one.save(tmp_path / "ab.json")
    (row,) = read_csv(report(bench, "ab.json", "--format", "csv"))
    assert (row["precision"], row["torch"], row["transformers"]) == ("", "", "5.17.0")
    assert row["b_configuration"] == "transformers, bfloat16, torch 2.12.0, HOW=slowly"
    assert (row["a_compile_s"], row["b_compile_s"]) == ("", "50.0")


def test_samples_of_a_comparison_have_side_pair_and_round(bench, tmp_path):
    """A round of which one side is void is in no ratio, so neither of its samples is valid."""
    one = ab()
    one.b.runs[1].samples = [Sample(3.2, 5, 8), Sample(3.2, 5, 7)]
    one.save(tmp_path / "ab.json")
    rows = read_csv(report(bench, "ab.json", "--format", "csv", "--samples"))
    timed = [row for row in rows if row["phase"] == "timed"]
    assert len(rows) - len(timed) == 4
    places = [(row["side"], row["engine"], row["group"], row["index"]) for row in timed]
    sides = (("A", "mii"), ("B", "transformers"))
    assert places == [(*side, pair, index) for side in sides for pair in "12" for index in "12"]
    assert [row["valid"] for row in timed] == [*["True"] * 3, "False"] * 2


def test_jsonl_has_the_columns_of_its_kind_and_null_for_what_was_not_measured(bench, files):
    rows = [json.loads(line) for line in report(bench, *files, "--format", "jsonl").splitlines()]
    assert {row["kind"]: list(row) for row in rows} == {
        kind: list(flat.columns_of(registry.kind(kind)))
        for kind in ("run", "quality", "sweep", "load", "ab", "referee")
    }
    assert rows[0]["energy_j_per_token"] is None
    assert rows[0]["tokens_per_s_mean"] == pytest.approx(8 / 4.5)


def test_samples_are_one_line_each_and_say_where_they_belong(bench, files):
    rows = read_csv(report(bench, *files, "--format", "csv", "--samples"))
    assert list(rows[0]) == list(columns.SAMPLES)
    timed = [row for row in rows if row["phase"] == "timed" and row["kind"] == "run"]
    assert [(r["group"], r["index"], r["tokens_per_s"]) for r in timed] == [
        ("1", "1", "4.0"),
        ("1", "2", "2.0"),
        ("2", "1", "2.0"),
        ("2", "2", "1.0"),
    ]
    assert {row["kind"] for row in rows} == {"run", "sweep", "load", "ab"}
    (failed,) = [row for row in rows if row["valid"] == "False" and row["phase"] != "warmup"]
    assert (failed["kind"], failed["seconds"]) == ("load", "")
    whole = next(row for row in rows if row["phase"] == "total" and row["batch_size"] == "4")
    assert float(whole["tokens_per_s"]) == pytest.approx(4 * 17 / 0.50)


def test_without_files_it_is_all_that_is_published(bench):
    rows = read_csv(report(bench, "--format", "csv"))
    published = [path.relative_to(ROOT).as_posix() for path in evidence.published()]
    assert list(dict.fromkeys(row["file"] for row in rows)) == published
    assert not any("simulations" in name for name in published)


def test_results_of_runs_are_distinguished_and_what_is_unfinished_is_said(bench, tmp_path):
    for name, status in (("first", "complete"), ("second", "interrupted")):
        (tmp_path / name).mkdir()
        content = result(environment={"packages": {}} if status == "complete" else None)
        content.status, content.environment = status, content.environment if status == "complete" else Environment()
        content.save(tmp_path / name / "result.json")
    text = report(bench, "first/result.json", "second/result.json", "--format", "markdown")
    assert "first/result" in text and "second/result" in text
    assert "Interrupted: not everything that was requested is here." in text
    assert "on what is not recorded in full" in text


def test_a_difference_that_is_noise_is_no_tpot(bench, tmp_path):
    """As in the tables: by difference, TTFT can come out above the whole generation."""
    one = result()
    one.latency = Latency("difference", [0.2, 0.3], [0.2, 0.2], [])
    one.save(tmp_path / "noise.json")
    (row,) = read_csv(report(bench, "noise.json", "--format", "csv"))
    assert (row["ttft_s"], row["tpot_s"]) == ("0.25", "")


BAD = {
    "cut": ('{"scenario": ', "bad.json is damaged"),
    "binary": ("\udcff", "bad.json is damaged"),
    "foreign": ('{"name": "package"}', "bad.json is not a result of this suite"),
    "a list": ("[]", "bad.json is not a result of this suite"),
    "another kind": ('{"kind": "holiday"}', "bad.json is not a result of this suite"),
    "a field is lacking": ('{"scenario": {}, "runs": [], "schema_version": 2}', "bad.json is not a result"),
    "half a comparison": ('{"a": {}, "b": {}, "rounds": []}', "bad.json is not a comparison (ab)"),
    "another version": ('{"settings": {}, "scenarios": [], "schema_version": 99}', "bad.json is not a sweep"),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD.keys())
def test_what_is_no_result_is_one_line_and_nothing_is_written(bench, files, content, words):
    (bench.cwd / "bad.json").write_text(content, errors="surrogateescape")
    assert words in bench.refusal(2, "report", *files, "bad.json", "--format", "csv", "--output", "out")
    assert not list(bench.cwd.glob("*out*"))


def test_a_file_that_is_not_there_is_one_line(bench):
    assert "cannot read gone.json: No such file" in bench.refusal(2, "report", "gone.json", "--format", "csv")


def test_an_output_that_cannot_be_written_is_one_line(bench, files):
    error = bench.refusal(3, "report", *files, "--format", "csv", "--output", "no/folder")
    assert "cannot write no/folder" in error


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["result.json"], "need a --format"),
        (["--samples"], "need a --format"),
        (["--format", "csv", "--check"], "leave out --format"),
        (["--format", "html", "--samples"], "--samples is for"),
        (["--format", "csv", "--output", "."], "--output . is a folder: name a file"),
        (["--format", "csv", "--output", "/"], "--output / is a folder: name a file"),
        (["result.json", "--format", "csv", "--output", "result.json"], "it would be lost"),
        (["--format", "pdf"], "invalid choice: 'pdf'"),
    ],
)
def test_flags_that_do_not_go_together_are_one_line(bench, flags, words):
    assert words in bench.refusal(2, "report", *flags)


def test_an_older_file_stays_whole_where_the_new_one_is_refused(bench, files, tmp_path):
    (tmp_path / "out").write_text("before")
    bench.refusal(2, "report", *files, "gone.json", "--format", "csv", "--output", "out")
    assert (tmp_path / "out").read_text() == "before"


def test_the_same_file_twice_is_one_line(bench, files, tmp_path):
    again = tmp_path / "again.json"
    again.symlink_to(files[0])
    assert len(read_csv(report(bench, files[0], again, "--format", "csv"))) == 1


def test_csv_has_one_line_a_result_with_raw_numbers(bench, files):
    row, *_ = rows = read_csv(report(bench, *files, "--format", "csv"))
    assert [r["kind"] for r in rows] == ["run", *["quality"] * 2, *["sweep"] * 4, *["load"] * 2, "ab", *["referee"] * 3]
    assert (row["processes"], row["repetitions"]) == ("2", "4")
    assert float(row["tokens_per_s_mean"]) == pytest.approx(8 / 4.5)
    assert float(row["tokens_per_s_low"]) == pytest.approx(8 / 4.5 * math.exp(-12.7062047 * 1.5 / 4.5))
    assert float(row["ttft_s"]) == pytest.approx(0.025)
    assert float(row["decode_idle_s"]) == pytest.approx(0.0075)
    assert (row["energy_j_per_token"], row["batch_size"], row["file"]) == ("", "", "result.json")
    *_, refused = (r for r in rows if r["kind"] == "sweep")
    assert (refused["status"], refused["decode_tokens_per_s"]) == ("refused", "")
    assert [r["failed"] for r in rows if r["kind"] == "load"] == ["0", "1"]
    assert [r["effective_6_per_s"] for r in rows if r["kind"] == "load"] == [f"{10 / 9.9}"] * 2
    shares = ("server_cpu_share", "server_cpu_share_max", "waited_for_kv")
    assert [[r[name] for name in shares] for r in rows if r["kind"] == "load"] == [["", "", ""], ["1.0", "0.75", "3"]]


@pytest.mark.parametrize("form", ["csv", "html", "markdown"])
@pytest.mark.parametrize("made", [result, ab], ids=["a run", "a comparison"])
def test_the_impossible_is_never_shown_as_a_speed(bench, tmp_path, made, form):
    one = made()
    for of in [one] if made is result else one.sides.values():
        of.engine, of.limits = EngineDescription(reads_weights=True), Limits(1e6, 1e6, 1e6, "float16", cache_bytes=0)
    one.save(tmp_path / "fast.json")
    assert "fast.json: impossible: " in bench.refusal(6, "report", "fast.json", "--format", form, "--output", "out")


def test_markdown_has_the_tables_of_the_documents(bench, files, tmp_path):
    text = report(bench, *files, "--format", "markdown")
    for words in (
        "1.78 [0.03, 122.83]",
        "within the noise floor",
        "refused",
        "| 2 clients",
        "host-bound",
        "**No difference",
    ):
        assert words in text
    assert "[JSON](result.json)" in text
    (tmp_path / "below").mkdir()
    report(bench, *files, "--format", "markdown", "--output", "below/report.md")
    assert "[JSON](../result.json)" in (tmp_path / "below" / "report.md").read_text()


def damaged(folder: Path, name: str) -> Path:
    path = folder / name
    content = json.loads(path.read_text())
    del content["candidates"][0]["engine"][0]["early"]
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("form", ["csv", "html", "markdown"])
def test_what_is_damaged_within_is_one_line(bench, files, tmp_path, form):
    damaged(tmp_path, "quality.json")
    assert "quality.json is damaged" in bench.refusal(2, "report", *files, "--format", form, "--output", "out")
