"""`bench.sh results`: what is found, listed and shown, and what is never deleted."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builders import DAMAGED, save_ab
from builders import comparison_of as comparison
from builders import steady_result as result
from support import LIBRARIES, STATISTICS, Bench, InProcess, imported_by, unwrapped, wait_until
from support import fake_side as side

from bench_deepspeed.benchmarks.common.run_folder import make_folder
from bench_deepspeed.benchmarks.load.records import LoadResult
from bench_deepspeed.benchmarks.quality.records import Quality
from bench_deepspeed.core.folder_lock import hold
from bench_deepspeed.core.json_files import write_json
from bench_deepspeed.measure.records import EngineDescription, Environment, Latency, Limits, Result
from bench_deepspeed.measure.speed import speed_interval
from bench_deepspeed.results.entries import read_entry
from bench_deepspeed.results.find import folders
from bench_deepspeed.results.prune import SILENT_S

FAKE = ("-d", "cpu", "--engine", "fake", "--processes", "2", "-r", "2", "-m", "2", "--warmups", "0")


class Reading(Bench):
    """bench.sh as a process, but for `results`, which starts none, in this one: hundreds of lists are looked at."""

    def __call__(self, *arguments: str | Path, **options) -> subprocess.CompletedProcess:
        in_process = arguments[0] == "results" and not options
        return InProcess(self.cwd)(*arguments) if in_process else super().__call__(*arguments, **options)


@pytest.fixture
def bench(bench) -> Bench:
    return Reading(bench.cwd, marker=bench.marker, started=bench.started)


def save(logs: Path, day: int, one: Result | None = None, name: str = "llama", **changes) -> Path:
    """A run of a day in January 2026."""
    folder = logs / name / f"2026-01-{day:02}T10-00-00"
    folder.mkdir(parents=True)
    found = one or result(100.0, 101.0, **changes)
    found.started_at = f"2026-01-{day:02}T10:00:00+00:00"
    found.save(folder / "result.json")
    return folder


def listed(bench, *arguments) -> list[dict]:
    done = bench("results", "--output_dir", "logs", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def ids(bench, *arguments) -> list[str]:
    return [one["id"] for one in listed(bench, *arguments)]


@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_no_runs_is_one_line_and_needs_no_package(bench, logs, tmp_path, there):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    if not there:
        logs.rmdir()
    for words in ((), ("prune", "--keep", "1")):
        done = bench("results", *words, "--output_dir", "logs", env={"BENCH_PYTHON": str(bare)})
        assert (done.returncode, done.stdout, done.stderr) == (0, "no runs in logs\n", "")
    assert ids(bench) == []


def require_provenance(content: dict, logs: Path) -> None:
    """The command and the lock of a file that a command has written."""
    environment = content["environment"] if "environment" in content else content["b"]["environment"]
    command = shlex.split(environment["command"])
    assert command[0] == "./bench_deepspeed/bench.sh"
    assert command[-2:] == ["--output_dir", "logs"]
    assert f"torch=={environment['packages']['torch']}" in environment["lock"].split()


def test_the_list_has_what_every_command_saved(bench, logs):
    """Each kind by the command itself; the answers' check from its data."""
    places = ("--output_dir", "logs")
    assert bench(*FAKE, *places).returncode == 0
    sweep = (
        "--engines",
        "fake",
        "--batch_sizes",
        "1,2",
        "--prompt_tokens",
        "4",
        "--max_tokens",
        "4",
        "--processes",
        "1",
    )
    assert bench("sweep", "-d", "cpu", *sweep, *places).returncode == 0
    load = ("--target", "stub", "--clients", "1,2", "--seconds", "0.5", "--prompt_tokens", "4", "-m", "2")
    assert bench("load", "-d", "cpu", *load, *places).returncode == 0
    assert bench("selftest", "-d", "cpu", "--engine", "fake", "--budget", "1", *places).returncode in (0, 1)
    sides = ("--a", side(virtual=True, seconds=[2.0]), "--b", side(virtual=True, seconds=[1.0]))
    assert bench("ab", "-d", "cpu", *sides, "--processes", "2", "--rounds", "2", "-m", "2", *places).returncode == 0
    closed = sorted(path for path in logs.rglob("*.json"))
    verified = bench("report", "--verify", *closed, env={"COLUMNS": "300"})
    assert (verified.returncode, verified.stdout.count(": verified: ")) == (0, 5), verified
    for path in closed:
        require_provenance(json.loads(path.read_text()), logs)
    folder = make_folder(logs / "smollm2")
    model = {"name": "smollm2", "title": "SmolLM2", "weights": "pretrained"}
    quality = Quality(model, "mii", "cuda", "cuda", {"gpu_used": "Some GPU"}, "", 8, [], "2026-01-02T03:04:05+00:00")
    write_json(folder / "quality.json", {**vars(quality), "status": "complete"})
    found = {one["kind"]: one for one in listed(bench)}
    assert found.keys() == {"run", "sweep", "load", "selftest", "ab", "quality"}
    assert {one["status"] for one in found.values()} == {"complete"}
    assert {*map(tuple, (one["models"] for one in found.values()))} == {("smollm2",)}
    assert found["sweep"]["speed"] == "2 of 2 scenarios"
    assert re.fullmatch(r"[\d.]+ \(.+\)", found["load"]["speed"])
    assert found["ab"]["speed"] == "B ∕ A 2.00000 [2.00000, 2.00000]"
    assert found["ab"]["id"].startswith("smollm2/ab/")
    assert found["quality"]["device"] == "Some GPU"
    (file,) = logs.glob("smollm2/*/result.json")
    of_file = speed_interval(Result.load(file))
    assert [found["run"]["interval"][name] for name in ("low", "high")] == pytest.approx([of_file.low, of_file.high])
    table = bench("results", *places).stdout
    assert [one["id"] for one in found.values() if one["id"] not in table] == []
    for one in found.values():
        shown = bench("results", "show", one["id"], *places)
        assert (shown.returncode, shown.stderr) == (0, ""), one
        assert f"logs/{one['id']}/" in shown.stdout


def test_the_newest_is_last(bench, logs):
    for day, name in ((2, "llama"), (1, "mistral"), (3, "a")):
        save(logs, day, name=name)
    assert [one.split("/")[0] for one in ids(bench)] == ["mistral", "llama", "a"]
    rows = [line for line in bench("results", "--output_dir", "logs").stdout.splitlines() if "/2026-" in line]
    assert [row.split("/")[0].strip("| ") for row in rows] == ["mistral", "llama", "a"]


@pytest.mark.parametrize(
    ("arguments", "days"),
    [
        ((), [1, 2, 3, 4]),
        (("--model", "mistral"), [2]),
        (("--engine", "transformers"), [3]),
        (("--status", "interrupted"), [4]),
        (("--since", "2026-01-03"), [3, 4]),
        (("--since", "2026-01-02", "--model", "llama"), [3, 4]),
        (("--commit", "c0f"), [1, 2, 4]),
        (("--kind", "sweep"), []),
    ],
)
def test_flags_choose(bench, logs, arguments, days):
    save(logs, 1)
    save(logs, 2, model="mistral")
    other = result(1.0, 2.0, engine="transformers")
    other.environment = Environment(commit="beef")
    save(logs, 3, other)
    save(logs, 4, status="interrupted")
    assert [int(one.split("-")[2][:2]) for one in ids(bench, *arguments)] == days
    if not days:
        done = bench("results", "--output_dir", "logs", *arguments)
        assert done.stdout == "none of 4 runs in logs is what the flags ask for\n"


def test_facts_that_lack_something_are_unreadable_too(bench, logs):
    folder = logs / "llama" / "load" / "2026-01-01T10-00-00"
    folder.mkdir(parents=True)
    LoadResult({"model": "llama"}, {}, {}, {}, "", "complete").save(folder / "load.json")
    save(logs, 2)
    assert [one["status"] for one in listed(bench)] == ["unreadable", "complete"]
    shown = bench("results", "2026-01-01T10-00-00", "--output_dir", "logs")
    assert shown.returncode == 2
    assert "load.json is damaged" in bench.one_error(shown)


def latencies_of_other_lengths(one: Result) -> None:
    one.latency = Latency("streamed", [0.1, 0.1], [0.2], [])


def a_code_that_is_a_number(one: Result) -> None:
    one.warnings = [{"code": 5}]


def a_commit_that_is_a_number(one: Result) -> None:
    one.environment = Environment(commit=5)


def limits_of_zero(one: Result) -> None:
    one.limits = Limits(0.0, 0.0, 0.0, "float16")


@pytest.mark.parametrize(
    "damage", [latencies_of_other_lengths, a_code_that_is_a_number, a_commit_that_is_a_number, limits_of_zero]
)
def test_one_damaged_file_leaves_the_list_whole(bench, logs, damage):
    one = result(1.0, 2.0)
    damage(one)
    save(logs, 1, one)
    save(logs, 2)
    assert [read_entry(run).status for run in folders(logs)] == ["unreadable", "complete"]
    assert "result.json" in read_entry(folders(logs)[0]).error
    assert [int(one.split("-")[2][:2]) for one in ids(bench, "--commit", "c0f")] == [2]
    assert "2026-01-01T10-00-00: unreadable: " in unwrapped(bench("results", "--output_dir", "logs").stdout)


def test_damaged_files_leave_no_traceback(bench, logs):
    for day, text in enumerate(DAMAGED.values(), 1):
        (save(logs, day) / "result.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = bench("results", "--output_dir", "logs")
    assert (done.returncode, done.stderr) == (0, "")
    assert unwrapped(done.stdout).count(": unreadable: ") == len(DAMAGED)


def test_the_impossible_has_no_speed(bench, logs):
    too_fast = result(1e6, 1e6, status="failed")
    too_fast.error = "impossible: as reported"
    too_fast.limits = Limits(1e12, 1e12, 1e12, "float16", cache_bytes=0)
    save(logs, 1, too_fast)
    (one,) = listed(bench)
    assert (one["speed"], one["interval"], one["status"]) == ("impossible", None, "failed")
    shown = bench("results", one["id"], "--output_dir", "logs")
    assert shown.stdout.startswith("status failed: impossible: repetition 1")
    assert "1000000" not in bench("results", "--output_dir", "logs").stdout + shown.stdout.splitlines()[2]


def test_a_comparison_is_listed_shown_and_pruned(bench, logs):
    """Of two models, under the name of either; of one that failed before a round was over, how it ended."""
    one = comparison(([1.0], [2.0]), ([1.0], [2.0]))
    one.b.scenario = dataclasses.replace(one.b.scenario, model="llama", engine="mii", weights="random")
    one.status = "complete"
    save_ab(logs, 1, one)
    broken = comparison()
    broken.status, broken.error = "failed", "B: no such thing"
    save_ab(logs, 2, broken)
    assert [found["speed"] for found in listed(bench)] == ["B ∕ A 0.50000 [0.50000, 0.50000]", "not measured"]
    assert ids(bench, "--model", "llama") == ids(bench, "--since", "2026-01-01", "--status", "complete")
    table = bench("results", "--output_dir", "logs").stdout
    assert "| B ∕ A 0.50000 * † | complete |" in table
    assert "| not measured      | failed   |" in table
    assert "; *: random weights" in unwrapped(table)
    shown = bench("results", "2026-01-01T10-00-00", "--output_dir", "logs")
    assert "B is slower: 0.50000 [0.50000, 0.50000] times A" in shown.stdout
    assert "status failed: B: no such thing" in bench("results", "2026-01-02T10-00-00", "--output_dir", "logs").stdout
    assert "deleted: smollm2/ab/2026-01-02T10-00-00 (ab, failed" in prune(
        bench, "--status", "failed", "--keep", "0", "--yes"
    )
    assert days(logs) == [1]


def test_an_impossible_comparison_has_no_ratio(bench, logs):
    too_fast = comparison(([1e-9], [1.0]))
    for of in too_fast.sides.values():
        of.limits = Limits(1e12, 1e12, 1e12, "float32", cache_bytes=0)
        of.engine = EngineDescription(reads_weights=True)
    save_ab(logs, 1, too_fast)
    assert [one["speed"] for one in listed(bench)] == ["impossible"]
    assert ": impossible: " in (text := bench("results", "2026-01-01T10-00-00", "--output_dir", "logs").stdout)
    assert "B ∕ A" not in text


def test_a_comparison_at_work_stays(bench, logs):
    arguments = ("-d", "cpu", "--a", "engine=fake", "--b", "engine=fake", "--rounds", "100000", "--output_dir", "logs")
    process = bench.start("ab", *arguments)
    wait_until(lambda: list(logs.glob("smollm2/ab/*/ab.json")))
    assert [one["status"] for one in listed(bench)] == ["running"]
    assert "it is running" in prune(bench, "--keep", "0", "--yes")
    process.send_signal(signal.SIGINT)
    process.wait()
    assert [one["status"] for one in listed(bench)] == ["interrupted"]
    assert "deleted: " in prune(bench, "--keep", "0", "--yes")


def test_show_prints_what_the_run_printed(bench, logs):
    done = bench(*FAKE, "--output_dir", "logs")
    (one,) = ids(bench)
    printed = done.stdout[: done.stdout.index("\nnext ")].split()
    with_absolute = bench("results", f"logs/{one}", "--output_dir", bench.cwd / "logs")
    assert with_absolute.stdout.split()[:-2] == printed[:-2]  # but for the path of its file
    for name in (one, one.split("/")[1], f"logs/{one}", f"logs/{one}/result.json"):
        shown = bench("results", "show", name, "--output_dir", "logs")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.split() == printed
    assert bench("results", one, "--output_dir", "logs").stdout == shown.stdout


def test_a_terminal_that_lacks_a_sign_shows_the_rest(bench, logs):
    save_ab(logs, 1, comparison(([1.0], [2.0]), ([1.0], [2.0])))
    shown = bench("results", "--output_dir", "logs", env={"PYTHONIOENCODING": "ascii"})
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "B ? A 0.50000" in shown.stdout


def test_show_says_how_a_run_ended(bench, logs):
    save(logs, 1, status="interrupted")
    assert "status interrupted" in bench("results", "2026-01-01T10-00-00", "--output_dir", "logs").stdout


def test_an_id_must_name_one_run(bench, logs):
    save(logs, 1)
    save(logs, 1, name="mistral")
    message = bench.refusal(2, "results", "2026-01-01T10-00-00", "--output_dir", "logs")
    assert "llama/2026-01-01T10-00-00, mistral/2026-01-01T10-00-00" in message
    assert "no run 'x'" in bench.refusal(2, "results", "show", "x", "--output_dir", "logs")
    assert "no run 'x'" in bench.refusal(2, "results", "x", "--output_dir", "nowhere")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("prune",), "--keep N"),
        (("--yes",), "belong to `bench.sh results prune`"),
        (("--keep", "3"), "belong to `bench.sh results prune`"),
        (("x", "--older_than", "3d"), "belong to `bench.sh results prune`"),
        (("show",), "show ID"),
        (("show", "a", "b"), "show ID"),
        (("prune", "a"), "show ID"),
        (("show", "a", "--json"), "--json prints the list"),
        (("prune", "--older_than", "month"), "'month' is not an age"),
        (("prune", "--keep", "-1"), "--keep"),
        (("--since", "yesterday"), "'yesterday' is not a day"),
        (("--status", "fine"), "fine"),
    ],
)
def test_wrong_usage_is_one_line(bench, arguments, words):
    assert words in bench.refusal(2, "results", *arguments, "--output_dir", "logs")


def test_words_may_stand_behind_flags(bench, logs):
    save(logs, 1)
    done = bench("results", "--output_dir", "logs", "prune", "--keep", "0")
    assert "would delete: llama/2026-01-01T10-00-00" in done.stdout


def test_a_folder_that_is_a_file_is_one_line(bench, tmp_path):
    (tmp_path / "logs").write_text("")
    assert "cannot read logs" in bench.refusal(3, "results", "--output_dir", "logs")


def prune(bench, *arguments) -> str:
    done = bench("results", "prune", "--output_dir", "logs", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def days(logs: Path) -> list[int]:
    return [run.named_at.day for run in folders(logs)]


def test_prune_deletes_nothing_without_yes_and_then_what_it_said(bench, logs):
    for day in (1, 2, 3):
        (save(logs, day) / "worker.log").write_text("x")
    reported = prune(bench, "--keep", "1")
    assert days(logs) == [1, 2, 3]
    assert [line.split()[2] for line in reported.splitlines() if line.startswith("would delete: ")] == [
        "llama/2026-01-01T10-00-00",
        "llama/2026-01-02T10-00-00",
    ]
    assert reported.endswith("nothing was deleted: `--yes` deletes these 2\n")
    done = prune(bench, "--keep", "1", "--yes")
    assert [line.split()[1] for line in done.splitlines()] == [line.split()[2] for line in reported.splitlines()[:2]]
    assert days(logs) == [3]
    assert prune(bench, "--keep", "1", "--yes") == "nothing to delete\n"


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (("--keep", "0"), []),
        (("--keep", "9"), [1, 2, 3]),
        (("--keep", "1", "--model", "mistral"), [1, 2, 3]),
        (("--keep", "0", "--model", "mistral"), [1, 3]),
        (("--older_than", "12h"), []),
        (("--older_than", "12h", "--keep", "2"), [2, 3]),
        (("--keep", "0", "--since", "2026-01-02"), [1]),
    ],
)
def test_prune_deletes_what_the_flags_name(bench, logs, arguments, left):
    save(logs, 1)
    save(logs, 2, model="mistral")
    save(logs, 3)
    prune(bench, *arguments, "--yes")
    assert days(logs) == left


def test_age_is_counted_from_the_last_start(bench, logs):
    """As a sweep's, which can be resumed long after its folder was named."""
    now = datetime.datetime.now(datetime.timezone.utc)
    for hours in (1, 30):
        folder = save(logs, hours)
        one = Result.load(folder / "result.json")
        one.started_at = (now - datetime.timedelta(hours=hours)).isoformat()
        one.save(folder / "result.json")
    prune(bench, "--older_than", "1d", "--yes")
    assert days(logs) == [1]


def test_prune_touches_only_folders_of_runs(bench, logs, tmp_path):
    """Neither what is named otherwise, nor what holds no run, nor what cannot be read, nor what lies elsewhere."""
    save(logs, 1)
    elsewhere = tmp_path / "elsewhere"
    save(elsewhere, 2)
    (logs / "linked_model").symlink_to(elsewhere / "llama")
    (logs / "llama" / "2026-01-03T10-00-00").symlink_to(elsewhere / "llama" / "2026-01-02T10-00-00")
    file_linked = logs / "llama" / "2026-01-04T10-00-00"
    file_linked.mkdir()
    (file_linked / "result.json").symlink_to(elsewhere / "llama" / "2026-01-02T10-00-00" / "result.json")
    foreign = logs / "llama" / "my notes"
    shutil.copytree(elsewhere / "llama" / "2026-01-02T10-00-00", foreign)
    no_date = logs / "llama" / "2026-02-31T10-00-00"
    shutil.copytree(foreign, no_date)
    deeper = logs / "llama" / "old" / "2026-01-05T10-00-00"
    shutil.copytree(foreign, deeper)
    no_run = logs / "llama" / "2026-01-06T10-00-00"
    no_run.mkdir()
    (no_run / "notes.txt").write_text("mine")
    unreadable = logs / "llama" / "2026-01-07T10-00-00"
    unreadable.mkdir()
    (unreadable / "result.json").write_text('{"my": "own"}')
    others = sorted(path for path in tmp_path.rglob("*") if "2026-01-01" not in str(path))
    reported = prune(bench, "--keep", "0", "--yes")
    assert sorted(tmp_path.rglob("*")) == others
    assert "left alone: 1 that cannot be read" in reported
    assert reported.count("deleted: ") == 1


def test_what_links_lead_to_stays(bench, logs, tmp_path):
    """Inside a run's folder the link goes, and what it leads to stays."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    folder = save(logs, 1)
    (folder / "link").symlink_to(tmp_path / "mine")
    prune(bench, "--keep", "0", "--yes")
    assert not folder.exists()
    assert (tmp_path / "mine" / "file").read_text() == "x"


def test_logs_may_be_a_link_themselves(bench, logs, tmp_path):
    save(logs, 1)
    logs.rename(tmp_path / "disk")
    logs.symlink_to(tmp_path / "disk")
    prune(bench, "--keep", "0", "--yes")
    assert days(logs) == []


def test_a_running_one_is_known_and_stays(bench, logs):
    """One that was killed is not taken for running; it stays for a day, and no longer."""
    process = bench.start_fake("-r", "100000", "--output_dir", "logs")
    wait_until(lambda: list(logs.glob("smollm2/*/result.json")))
    assert [one["status"] for one in listed(bench)] == ["running"]
    assert "it is running" in prune(bench, "--keep", "0", "--yes")
    assert [one["status"] for one in listed(bench)] == ["running"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: [one["status"] for one in listed(bench)] == ["killed"])
    assert "it may run on another machine" in prune(bench, "--keep", "0", "--yes")
    (folder,) = logs.glob("smollm2/*")
    long_ago = time.time() - SILENT_S - 60
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (long_ago, long_ago))
    assert "deleted: " in prune(bench, "--keep", "0", "--yes")
    assert not folder.exists()


def test_one_whose_file_is_complete_and_whose_process_is_at_work_stays(bench, logs):
    """As while the answers are checked after a run."""
    folder = save(logs, 1)
    hold(folder)
    assert "it is running" in prune(bench, "--keep", "0", "--yes")
    assert folder.exists()


def test_a_list_imports_nothing_that_takes_time(tmp_path):
    save(tmp_path / "logs", 1)
    modules = imported_by("results", "--output_dir", "logs", cwd=tmp_path)
    assert {name.split(".")[0] for name in modules} & (LIBRARIES | STATISTICS) == set()
