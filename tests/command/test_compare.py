"""`bench.sh compare`: the interval of a ratio, what is refused, what is said, and the exit codes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from builders import LIBRARIES, README, STATISTICS, documented, imported_by
from builders import STEADY_ENVIRONMENT as ENVIRONMENT
from builders import steady_result as result
from support import ROOT, error_of

from bench_deepspeed.benchmarks.run.metrics import METRICS
from bench_deepspeed.core.errors import EXIT_CODES
from bench_deepspeed.measure.ratio import speed_ratio
from bench_deepspeed.measure.records import Limits, Reading, Result, Run, Sample
from bench_deepspeed.results.compare.comparable import SAME

EXAMPLE = ("docs/results/llama-mii-float16-h200.json", "docs/results/llama-transformers-float16-h200.json")


def saved(folder: Path, name: str, one: Result) -> Path:
    path = folder / name
    one.save(path)
    return path


DIFFERENT = {
    "model": result(1.0, 2.0, model="mistral"),
    "weights": result(1.0, 2.0, weights="pretrained"),
    "seed of the weights": result(1.0, 2.0, seed=8),
    "digest of the weights": dataclasses.replace(result(1.0, 2.0), model={"digest": "fedcba9876543210"}),
    "device": result(1.0, 2.0, device="cpu"),
    "prompt tokens": dataclasses.replace(result(), runs=[Run(samples=[Sample(1.0, 6, 100)])]),
    "max_tokens": dataclasses.replace(result(max_tokens=101), runs=[Run(samples=[Sample(1.0, 5, 101)])]),
}


@pytest.mark.parametrize("what", SAME)
def test_other_work_is_refused_by_name(bench, tmp_path, what):
    paths = [saved(tmp_path, "a.json", result(1.0, 2.0)), saved(tmp_path, "b.json", DIFFERENT[what])]
    message = bench.refusal(2, "compare", *paths)
    assert f" {what}: " in message
    assert all(str(path) in message for path in paths)
    assert "--force" in message


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (result(1.0, 2.0, status="interrupted"), "its status is 'interrupted'"),
        (result(1.0, 2.0, status="running"), "its status is 'running'"),
        (result(), "it has no valid repetition"),
    ],
)
def test_the_unfinished_is_refused_and_forced_with_a_mark(bench, tmp_path, other, words):
    paths = [saved(tmp_path, "a.json", result(1.0, 2.0)), saved(tmp_path, "b.json", other)]
    assert words in bench.refusal(2, "compare", *paths)
    done = bench("compare", *paths, "--force")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"not comparable: {paths[1]}: {words}" in done.stdout
    told = json.loads(bench("compare", "--json", *paths, "--force").stdout)
    assert f"{paths[1]}: {words}" in told["not_comparable"]


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "forced"])
def test_the_impossible_is_never_shown_as_a_speed(bench, tmp_path, force):
    too_fast = result(1e6, 1e6, status="failed")
    too_fast.limits = Limits(1e12, 1e12, 1e12, "float16", cache_bytes=0)
    paths = [saved(tmp_path, "a.json", result(1.0, 2.0)), saved(tmp_path, "b.json", too_fast)]
    message = bench.refusal(6, "compare", *paths, *force)
    assert f"{paths[1]}: impossible: repetition 1" in message


@pytest.mark.parametrize("change", [{"cpu_count": "x"}, {"gpu_slowdown_c": "x"}], ids=["CPUs", "temperature"])
def test_a_fact_that_is_no_number_is_one_line(bench, tmp_path, change):
    reading = Reading(temperature_c=80, other_cpus_busy=1.0)
    one = dataclasses.replace(result(1.0, 2.0), environment={**ENVIRONMENT, **change})
    one.runs[0].samples = [dataclasses.replace(sample, reading=reading) for sample in one.runs[0].samples]
    paths = [saved(tmp_path, "a.json", result(1.0, 2.0)), saved(tmp_path, "b.json", one)]
    assert f"{paths[1]} is damaged: TypeError" in bench.refusal(2, "compare", *paths)


def test_no_tokens_are_no_result(bench, tmp_path):
    paths = [saved(tmp_path, f"{number}.json", result(1.0, 2.0, max_tokens=number)) for number in (100, 0)]
    assert f"{paths[1]} is not a result of this suite" in bench.refusal(2, "compare", *paths)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 100_000, '{"schema_version": 1}', '{"schema_version": 2}', "\udcff"],
    ids=["empty", "cut", "list", "null", "deep", "old", "bare", "binary"],
)
def test_a_damaged_file_is_one_line(bench, tmp_path, text):
    good, damaged = saved(tmp_path, "a.json", result(1.0, 2.0)), tmp_path / "b.json"
    damaged.write_bytes(text.encode(errors="surrogateescape"))
    assert f"{damaged} is not a result of this suite" in bench.refusal(2, "compare", good, damaged)


def test_a_time_of_zero_is_no_result(bench, tmp_path):
    broken = dataclasses.replace(result(), runs=[Run(samples=[Sample(0.0, 5, 100)])])
    paths = [saved(tmp_path, "a.json", result(1.0, 2.0)), saved(tmp_path, "b.json", broken)]
    assert "that is not above zero" in bench.refusal(2, "compare", *paths)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "two to 26 files"),
        (["a.json"], "not 1"),
        (["a.json", "b.json", "--force", "--fail_on_regression", "3%"], "leave out --force"),
        (["a.json", "b.json", "--fail_on_regression", "3"], "'3' is not a percentage"),
        (["nowhere.json", "b.json"], "nowhere.json"),
    ],
)
def test_wrong_usage_is_one_line(bench, arguments, words):
    assert words in bench.refusal(2, "compare", *arguments)


def gate(bench, folder: Path, a: tuple, b: tuple) -> subprocess.CompletedProcess:
    paths = [saved(folder, "a.json", result(*a)), saved(folder, "b.json", result(*b))]
    return bench("compare", *paths, "--fail_on_regression", "3%")


def test_the_gate_fails_with_a_code_of_its_own(bench, tmp_path):
    done = gate(bench, tmp_path, (100.0, 100.1, 99.9), (90.0, 90.1, 89.9))
    assert done.returncode == 7
    assert 7 in EXIT_CODES
    assert "b is slower than a by more than 3%" in error_of(done.stderr)
    assert "b is slower than a: " in done.stdout


@pytest.mark.parametrize(
    ("b", "words"),
    [
        ((100.0, 100.1, 99.9), "b is not slower than a by more than 3%"),
        ((98.0, 98.1, 97.9), "b is not slower than a by more than 3%"),  # slower, and within the bound
        ((90.0, 100.1, 80.9), "cannot tell whether b is slower than a by more than 3%"),
    ],
)
def test_the_gate_lets_through_what_is_not_shown_and_says_so(bench, tmp_path, b, words):
    done = gate(bench, tmp_path, (100.0, 100.1, 99.9), b)
    assert (done.returncode, done.stderr) == (0, "")
    assert words in done.stdout


def test_a_gate_that_could_never_fail_is_refused(bench):
    assert "--processes 3" in bench.refusal(2, "compare", *EXAMPLE, "--fail_on_regression", "3%", cwd=ROOT)


def test_the_example_of_the_readme(bench):
    assert f"./bench_deepspeed/bench.sh compare {' '.join(EXAMPLE)}" in README.read_text().replace(" \\\n  ", " ")
    done = bench("compare", *EXAMPLE, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in table_lines(done)}
    first, other = (Result.load(ROOT / path) for path in EXAMPLE)
    assert rows["engine"] == ["mii", "transformers"]
    assert "precision" not in rows  # the same in both
    ratio = speed_ratio(first, other).value
    assert rows["tokens/s"][2] == f"{ratio:.3f} [not measured]"
    peak = next(metric for metric in METRICS if metric.title == "peak memory")
    assert rows["peak memory"] == [peak.cell(first), peak.cell(other), "0.988"]
    assert "no verdict" in done.stdout
    assert "`bench.sh ab`" in done.stdout
    assert "TTFT" in done.stdout.split("not measured in any: ")[1].splitlines()[0]


def table_lines(done: subprocess.CompletedProcess) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("| ")]


def test_three_files_are_each_compared_with_the_first(bench, tmp_path):
    speeds = [(100.0, 100.1, 99.9), (200.0, 200.1, 199.9), (50.0, 50.1, 49.9)]
    folders = []
    for number, means in enumerate(speeds):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        saved(folders[-1], "result.json", result(*means))
    done = bench("compare", *folders)
    assert done.returncode == 0, done
    assert "b is faster than a: b makes 2.000" in done.stdout
    assert "c is slower than a: c makes 0.500" in done.stdout
    assert "Nothing that is recorded differs" in done.stdout


def test_seconds_of_compiling_are_a_row_without_a_ratio(bench, tmp_path):
    """Which depend on what the compiler's cache held before; where nothing was compiled there is no row."""
    compiled = result(100.0, 101.0)
    compiled.runs[0].compile_s, compiled.runs[1].compile_s = 50.0, 3.0
    paths = [saved(tmp_path, "a.json", result(1.0, 2.0)), saved(tmp_path, "b.json", compiled)]
    rows = {line.split("|")[1].strip(): line for line in table_lines(bench("compare", *paths))}
    assert [cell.strip() for cell in rows["compiling"].split("|")[2:-1]] == ["none", "50.0 s, 3.0 s", ""]
    assert "| compiling" not in bench("compare", paths[0], saved(tmp_path, "c.json", result(1.0, 2.0))).stdout


def test_json_is_all_of_it(bench):
    done = bench("compare", *EXAMPLE, "--json", cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert documented("Comparison") == list(told)
    assert told["files"] == dict(zip("ab", EXAMPLE, strict=True))
    assert told["speeds"]["b"]["low"] is None


def test_help_needs_no_library(tmp_path):
    modules = imported_by("compare", "--help", cwd=tmp_path)
    assert {name.split(".")[0] for name in modules} & (LIBRARIES | STATISTICS | {"pydantic"}) == set()
