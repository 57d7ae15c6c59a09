"""A whole run with an engine of known latency: samples, statistics, failures, signals, files."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import signal
import socket
from pathlib import Path

import numpy
import pytest
import scipy.stats
from support import error_of, unwrapped, wait_until

from bench_deepspeed.benchmarks.run.command import NEXT
from bench_deepspeed.measure.records import Memory, Result

SLOW = {"seconds": [0.01, 0.01, 0.01, 600.0]}  # the fourth call outlasts every test


def result_path(folder: Path) -> Path | None:
    return next(folder.glob("out/smollm2/*/result.json"), None)


def result_of(folder: Path) -> Result:
    """The only result below `out`."""
    (path,) = folder.glob("out/smollm2/*/result.json")
    return Result.load(path)


def log_of(folder: Path) -> str:
    (path,) = folder.glob("out/smollm2/*/performance.log")
    return path.read_text(encoding="utf-8")


def facts_of(printed: str) -> dict[str, str]:
    """What is printed of a result, as a name and a value in each line."""
    return dict(re.findall(r"^(\S.*?) {2,}(.*)$", printed, re.M))


def samples_so_far(folder: Path) -> int:
    """Repetitions that result.json holds at this moment; it must always be readable."""
    path = result_path(folder)
    return sum(len(run["samples"]) for run in json.loads(path.read_text())["runs"]) if path else 0


def test_samples_are_the_latencies_that_the_engine_took(bench, tmp_path):
    asked = [0.15, 0.05, 0.03, 0.12, 0.02]
    done = bench.fake("--warmups", "2", "-r", "3", "-m", "8", "-p", "one two three", behaviour={"seconds": asked})
    assert done.returncode == 0, done.stderr
    result = result_of(tmp_path)
    (run,) = result.runs
    assert (len(run.warmups), len(run.samples)) == (2, 3)
    for sample, seconds in zip([*run.warmups, *run.samples], asked, strict=True):
        assert sample.seconds >= seconds
        assert (sample.prompt_tokens, sample.new_tokens) == (3, 8)
        assert sample.tokens_per_s == 8 / sample.seconds
    assert (result.status, result.error) == ("complete", None)
    assert result.valid_samples == run.samples
    assert result.memory == Memory()


def test_printed_statistics_are_numpys_from_the_stored_samples(bench, tmp_path):
    done = bench.fake(
        "--warmups", "1", "-r", "6", "-m", "9", behaviour={"seconds": [0.3, 0.01, 0.02, 0.03, 0.04, 0.05]}
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(result_path(tmp_path).read_text())
    speeds = [sample["new_tokens"] / sample["seconds"] for sample in data["runs"][0]["samples"]]
    mean, std = f"{scipy.stats.hmean(speeds):.2f}", f"{numpy.std(speeds, ddof=1):.2f}"
    facts = facts_of(done.stdout)
    assert f": {mean} tokens/s (no interval; 1 process × 6 repetitions; the fake engine" in unwrapped(done.stdout)
    assert facts["std"] == f"{std} tokens/s"
    extremes = [f"{pick(speeds):.2f} tokens/s" for pick in (numpy.median, min, max)]
    assert [facts[name] for name in ("median", "slowest", "fastest")] == extremes
    log = log_of(tmp_path)
    assert f" {mean} ± {std} tokens/s (mean ± sample std, n = 6); {mean} [no interval] (mean [95% interval])\n" in log
    assert [float(speed) for speed in re.findall(r" repetition .* = (\S+) tokens/s", log)] == pytest.approx(
        speeds, abs=6e-4
    )


def test_each_process_is_fresh_and_the_interval_is_over_their_means(bench, tmp_path):
    """The clock is virtual, so all is exact: warm from the second call on, then as fast as the process is."""
    behaviour = {"virtual": True, "seconds": [0.5, 0.25], "noise": {"between": 0.05, "independent": 0.02}}
    done = bench.fake("--processes", "3", "-r", "4", "-m", "8", behaviour=behaviour)
    assert done.returncode == 0, done.stderr
    result = result_of(tmp_path)
    assert [len(run.samples) for run in result.runs] == [4, 4, 4]
    assert all(run.steady and len(run.warmups) >= 4 for run in result.runs)  # the first was slow: not steady after 3
    assert len({sample.seconds for run in result.runs for sample in run.samples}) == 12
    times = numpy.array([numpy.mean([sample.seconds for sample in run.samples]) for run in result.runs])
    centre = times.mean() + scipy.stats.skew(times, bias=False) * times.std(ddof=1) / 18  # see speed.mean_time
    factor = math.exp(scipy.stats.t.ppf(0.975, 2) * scipy.stats.sem(times) / centre)
    mean, low, high = 8 / times.mean(), 8 / centre / factor, 8 / centre * factor
    speed = f"{mean:.2f} [{low:.2f}, {high:.2f}]"
    assert f": {speed} tokens/s (mean [95% interval]; 3 processes × 4 repetitions;" in unwrapped(done.stdout)
    log = log_of(tmp_path)
    std = numpy.std([sample.tokens_per_s for run in result.runs for sample in run.samples], ddof=1)
    words = f"{mean:.2f} ± {std:.2f} tokens/s (mean ± sample std, n = 12); {speed} (mean [95% interval])"
    assert f" result smollm2 fake cpu float32: {words}\n" in log
    for number, run in enumerate(result.runs, start=1):
        words = f"process {number}: steady after {len(run.warmups)} warm-ups"
        assert f" {words}\n" in log
        assert f"\n{words}\n" in done.stderr
    assert " 3 processes, as requested\n" in log


def test_warm_ups_that_never_end_are_reported(bench, tmp_path):
    behaviour = {"virtual": True, "noise": {"drift": -0.1}}
    assert bench.fake("-r", "1", behaviour=behaviour).returncode == 0
    (run,) = result_of(tmp_path).runs
    assert (run.steady, len(run.warmups)) == (False, 20)
    assert "process 1: not steady after 20 warm-ups" in log_of(tmp_path)


def test_a_fixed_number_of_warm_ups_is_not_called_steady(bench, tmp_path):
    assert bench.fake("-r", "1", "--warmups", "2", behaviour={"virtual": True}).returncode == 0
    assert [run.steady for run in result_of(tmp_path).runs] == [None]
    assert "steady" not in log_of(tmp_path)


def test_processes_are_added_until_the_target_is_met(bench, tmp_path):
    """Without noise every interval has no width, so the target is met as soon as it can be."""
    flags = ("--processes", "2", "-r", "1", "--warmups", "0", "--target_ci", "1%")
    done = bench.fake(*flags, behaviour={"virtual": True})
    assert done.returncode == 0, done.stderr
    result = result_of(tmp_path)
    assert (result.scenario.target_ci, result.scenario.time_budget_s) == (0.01, 600)
    assert len(result.runs) == 6
    words = "6 processes: the target is met; the interval is ± 0.00%, the target ± 1.00%"
    assert f" {words}\n" in log_of(tmp_path)
    assert f"\n{words}\n" in done.stderr


def test_the_time_budget_ends_the_search(bench, tmp_path):
    flags = ("--processes", "2", "-r", "1", "--warmups", "0", "--target_ci", "0.1%", "--time_budget", "1")
    assert bench.fake(*flags, behaviour={"virtual": True, "noise": {"between": 0.5}}).returncode == 0
    assert len(result_of(tmp_path).runs) < 30
    assert "the time budget of 1 s is spent" in log_of(tmp_path)


def test_an_interrupt_in_a_later_process_leaves_those_before_it(bench, tmp_path):
    """Ctrl-C while the second process starts, when the first one's repetitions are complete."""
    process = bench.start_fake("--processes", "3", "-r", "2", "--warmups", "1", behaviour={"seconds": [0.01]})
    wait_until(lambda: samples_so_far(tmp_path) == 2)
    process.send_signal(signal.SIGINT)
    assert bench.finish(process).returncode == 130
    wait_until(lambda: bench.processes() == [])  # one that was just being started ends by itself
    result = result_of(tmp_path)
    assert result.status == "interrupted"
    assert len(result.runs[0].samples) == 2
    assert len(result.runs) < 3


def test_one_repetition_shows_no_deviation(bench):
    printed = bench.fake("-r", "1", "--warmups", "0").stdout
    assert "std" not in facts_of(printed)
    assert re.search(r"^not measured: std[,\n]", printed, re.M)
    assert "1 process × 1 repetition;" in unwrapped(printed)


def test_no_warm_ups(bench, tmp_path):
    assert bench.fake("-r", "2", "--warmups", "0").returncode == 0
    (run,) = result_of(tmp_path).runs
    assert (len(run.warmups), len(run.samples)) == (0, 2)
    assert "warm-up" not in log_of(tmp_path)


def test_nothing_is_averaged_over_void_repetitions(bench, tmp_path):
    done = bench.fake("-r", "3", "-m", "8", behaviour={"new_tokens": 5})
    assert done.returncode == 1
    assert "3 of 3 repetitions are void" in error_of(done.stderr)
    assert ": tokens/s not measured" in unwrapped(done.stdout)
    assert "3 repetitions void" in log_of(tmp_path)
    assert ": not measured tokens/s (mean ± sample std, n = 0); not measured (mean [95% interval])\n" in log_of(
        tmp_path
    )
    result = result_of(tmp_path)
    assert [sample.new_tokens for sample in result.runs[0].samples] == [5, 5, 5]
    assert result.valid_samples == []


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [({"fail_at": 3}, "the fake engine failed, as requested"), ({"die_at": 3}, "the engine's process was killed")],
    ids=["fails", "is killed"],
)
def test_an_engine_that_ends_in_the_middle_leaves_what_was_measured(bench, tmp_path, behaviour, words):
    done = bench.fake("-r", "5", "--warmups", "1", behaviour=behaviour)
    assert done.returncode == 1
    assert done.stdout == ""
    assert words in error_of(done.stderr)
    result = result_of(tmp_path)
    assert result.status == "failed"
    assert words in result.error
    (run,) = result.runs
    assert (len(run.warmups), len(run.samples), result.memory) == (1, 2, Memory())
    assert f"status failed: {words}" in log_of(tmp_path)
    bench.require_none_left()


def test_a_failing_warm_up_leaves_no_samples(bench, tmp_path):
    assert bench.fake("-r", "2", "--warmups", "2", behaviour={"fail_at": 1}).returncode == 1
    (run,) = result_of(tmp_path).runs
    assert (len(run.warmups), len(run.samples)) == (1, 0)


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "terminated")],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_signal_keeps_the_samples_and_leaves_no_process(bench, tmp_path, number, code, word):
    process = bench.start_fake("-r", "9", "--warmups", "1", behaviour=SLOW)
    wait_until(lambda: samples_so_far(tmp_path) == 2)
    assert len(bench.processes()) >= 2
    process.send_signal(number)
    done = bench.finish(process)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == f"bench.sh: {word}"
    bench.require_none_left()
    result = result_of(tmp_path)
    assert result.status == "interrupted"
    assert (len(result.runs[0].warmups), len(result.runs[0].samples)) == (1, 2)
    assert log_of(tmp_path).endswith(" status interrupted\n")
    assert done.stdout.startswith("SmolLM2-135M-Instruct, fake, ")  # what was measured until then
    (listed,) = json.loads(bench("results", "--output_dir", "out", "--json").stdout)
    assert {"no_interval", "few_samples"} <= set(listed["warnings"])


def test_a_signal_while_the_engine_loads(bench, tmp_path):
    process = bench.start_fake("-r", "9", behaviour=SLOW)
    wait_until(lambda: result_path(tmp_path))
    process.send_signal(signal.SIGTERM)
    assert bench.finish(process).returncode == 143
    assert result_of(tmp_path).status == "interrupted"
    wait_until(lambda: bench.processes() == [])


def test_a_killed_parent_takes_the_worker_with_it(bench, tmp_path):
    process = bench.start_fake("-r", "9", "--warmups", "1", behaviour=SLOW)
    wait_until(lambda: samples_so_far(tmp_path) == 2)
    assert len(bench.processes()) >= 2
    process.kill()
    wait_until(lambda: bench.processes() == [])
    result = result_of(tmp_path)
    assert (result.status, len(result.runs[0].samples)) == ("running", 2)


def test_a_killed_parent_while_the_worker_starts(bench, tmp_path):
    process = bench.start_fake("-r", "9", behaviour=SLOW)
    wait_until(lambda: len(bench.processes()) >= 2)
    process.kill()
    wait_until(lambda: bench.processes() == [])


def test_the_fake_engine_needs_no_torch_and_has_nothing_to_profile(bench, tmp_path):
    """A torch that cannot be imported stands before the real one."""
    (tmp_path / "path" / "torch").mkdir(parents=True)
    (tmp_path / "path" / "torch" / "__init__.py").write_text("raise ImportError('torch is not needed here')\n")
    done = bench.fake("-r", "1", "-m", "2", "--warmups", "0", env={"PYTHONPATH": str(tmp_path / "path")})
    assert done.returncode == 0, done.stderr
    assert "not measured: " not in done.stderr  # no pass failed
    assert result_of(tmp_path).profiles == []


def test_the_result_is_whole_at_every_moment(bench, tmp_path):
    process = bench.start_fake("-r", "60", "--warmups", "0", behaviour={"seconds": [0.005]})
    seen = set()
    while process.poll() is None:
        seen.add(samples_so_far(tmp_path))
    assert bench.finish(process).returncode == 0
    assert len(seen) > 2  # read while it was being rewritten
    assert samples_so_far(tmp_path) == 60
    (folder,) = tmp_path.glob("out/smollm2/*")
    assert sorted(path.name for path in folder.iterdir()) == [
        "performance.log",
        "result.json",
        "worker.log",
    ]


def test_a_log_is_appended_to(bench, tmp_path):
    log = tmp_path / "new folder" / "performance.log"
    for _ in range(2):
        assert bench.fake("-r", "1", "--warmups", "0", "-lf", "new folder/performance.log").returncode == 0
    text = log.read_text(encoding="utf-8")
    assert text.count(" repetition 1/1: ") == 2
    assert text.count(" status complete") == 2
    assert list(tmp_path.glob("out/smollm2/*/performance.log")) == []
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in text.splitlines())


def test_the_log_holds_every_setting(bench, tmp_path):
    assert bench.fake("-r", "1", "--warmups", "0", "-p", "two\nlines").returncode == 0
    settings = dict(re.findall(r" setting (\w+): (.*)", log_of(tmp_path)))
    expected = dataclasses.asdict(result_of(tmp_path).scenario)
    assert {name: json.loads(value) for name, value in settings.items()} == expected
    assert expected["prompt"] == "two\nlines"


def test_runs_at_the_same_time_get_folders_of_their_own(bench, tmp_path):
    processes = [bench.start_fake("-r", "1", "--warmups", "0") for _ in range(3)]
    assert [bench.finish(process).returncode for process in processes] == [0, 0, 0]
    results = [Result.load(path) for path in tmp_path.glob("out/smollm2/*/result.json")]
    assert [(result.status, len(result.valid_samples)) for result in results] == [("complete", 1)] * 3


@pytest.mark.parametrize("behaviour", [{}, {"die_at": 2}], ids=["complete", "failed"])
def test_a_result_holds_nothing_about_who_ran_it(bench, tmp_path, behaviour):
    """Results are published; only -p's text is the user's own."""
    home = tmp_path / "home-of-somebody"
    home.mkdir()
    flags = ("-r", "2", "--output_dir", home / "out", "--models_dir", home / "models", "-p", "hello")
    bench.fake(*flags, behaviour=behaviour, env={"HOME": str(home), "USER": "somebody", "LOGNAME": "somebody"})
    (path,) = home.glob("out/smollm2/*/result.json")
    text = path.read_text(encoding="utf-8")
    assert "somebody" not in text
    assert str(tmp_path) not in text
    assert f"{Path.home()}/" not in text
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)


def test_the_parent_prints_only_the_table_on_stdout(bench, tmp_path):
    done = bench.fake("-r", "2")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("SmolLM2-135M-Instruct, fake, ")
    assert "the fake engine: not a measurement of anything" in lines
    (folder,) = tmp_path.glob("out/smollm2/*")
    relative = folder.relative_to(tmp_path)
    files = [f"result  {relative}/result.json", f"log     {relative}/performance.log"]
    assert lines[-5:] == [*files, *NEXT.splitlines()]


def test_what_can_be_done_next_can_be_done(bench, tmp_path):
    assert bench.fake("-r", "2").returncode == 0
    (file,) = map(str, tmp_path.glob("out/smollm2/*/result.json"))
    commands = [line.removeprefix("next").strip().removeprefix("bench.sh ") for line in NEXT.splitlines()]
    assert [bench(*command.replace("FILE", file).split()).returncode for command in commands] == [0, 0, 0]
    assert (tmp_path / "page.html").is_file()


def test_log_on_a_full_disk_is_one_line_and_the_result_says_so(bench, tmp_path):
    done = bench.fake("-r", "1", "-lf", "/dev/full")
    assert done.returncode == 3
    assert "No space left" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    (path,) = tmp_path.glob("out/smollm2/*/result.json")
    assert json.loads(path.read_text())["status"] == "failed"


def test_gate_that_could_never_close_is_refused(bench):
    done = bench.fake("--fail_on_quality")
    assert done.returncode == 2
    assert "nothing to check" in done.stderr
