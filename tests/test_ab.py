"""`bench.sh ab`: order, statistics, verdicts, failures, signals, and two real engines at once."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import sys
from argparse import Namespace
from pathlib import Path

import numpy
import pytest
import scipy.stats
from support import error_of, wait_until
from test_report import result as published_result

from bench_deepspeed.benchmarks.ab import command, estimate, plan, rounds, warnings
from bench_deepspeed.benchmarks.ab import view as report
from bench_deepspeed.benchmarks.ab.command import _without_partner
from bench_deepspeed.benchmarks.ab.records import AbResult, Round
from bench_deepspeed.cli import parser
from bench_deepspeed.core import progress_bars
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.measure.records import EngineDescription, Limits, Reading, Result, Run, Sample, Scenario
from bench_deepspeed.results import documents
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import Pending

FAKE = ("ab", "-d", "cpu", "--output_dir", "out", "-m", "8")
SAME = ("--a", "engine=fake", "--b", "engine=fake")
SHORT = ("--processes", "2", "--rounds", "4", "--warmups", "1")
SCENARIO = Scenario("smollm2", "fake", "cpu", "float32", "pretrained", "hello", 8, 2, 2, 0, 0)
NOISE = {"independent": 0.03, "autocorrelated": 0.02, "autocorrelation": 0.7, "between": 0.025}
LIMITS = Limits(3e12, 2.9e12, 6e14, "float16", 50_000_000)


def ab_path(folder: Path) -> Path | None:
    return next(folder.glob("out/*/ab/*/ab.json"), None)


def saved(folder: Path) -> AbResult:
    """The only comparison below `out`."""
    (path,) = folder.glob("out/*/ab/*/ab.json")
    return AbResult.load(path)


def rounds_so_far(folder: Path) -> int:
    path = ab_path(folder)
    return sum(map(len, json.loads(path.read_text())["rounds"])) if path else 0


def side(**behaviour) -> str:
    """The fake engine with a behaviour of its own."""
    return f"engine=fake env.BENCH_FAKE='{json.dumps(behaviour)}'"


def comparison(*pairs: tuple[list[float], list[float]]) -> AbResult:
    """A comparison of these seconds: A's and B's of each pair."""
    a, b = ([Run(load_s=1.0, samples=[Sample(s, 3, 8) for s in pair[n]]) for pair in pairs] for n in (0, 1))
    orders = [[Round("AB", {"A": 0.0, "B": 0.0}) for _ in pair[0]] for pair in pairs]
    return AbResult(Result(SCENARIO, runs=a), Result(SCENARIO, runs=b), {"A": {}, "B": {}}, rounds=orders)


# What it does, through the fake engine.


def test_a_and_a_are_alike(bench, tmp_path):
    """Slower and slower together, with noise of its own in each process: 1 is in the interval of 99.999%."""
    behaviour = {"virtual": True, "noise": {**NOISE, "drift": 0.01}}
    pairs = ("--processes", "4", "--rounds", "5")
    done = bench(*FAKE, *SAME, *pairs, env={"BENCH_FAKE": json.dumps(behaviour)})
    assert done.returncode == 0, done
    result = saved(tmp_path)
    assert (result.status, result.a.status, [len(pair) for pair in result.rounds]) == ("complete", "complete", 4 * [5])
    for of in result.sides.values():
        assert [len(run.samples) for run in of.runs] == 4 * [5]
        assert all(run.steady is not None and len(run.warmups) >= 3 for run in of.runs)
    found = estimate.ratio(estimate.log_ratios(result))
    wider = scipy.stats.t.ppf(1 - 5e-6, 3) / scipy.stats.t.ppf(0.975, 3)
    assert abs(math.log(found.value)) < wider * found.half_width
    assert f"**{estimate.sentence(found)}.**" in done.stdout
    assert "the same configuration" in done.stdout
    assert "4 pairs of processes, as asked" in done.stderr
    assert bench.processes() == []


def test_a_known_difference_is_found(bench, tmp_path):
    """The clocks are virtual, so the ratio is exact, apart from 1% of noise."""
    noise = {"independent": 0.01}
    a, b = (side(virtual=True, seconds=[seconds], noise=noise) for seconds in (1.23, 1.0))
    done = bench(*FAKE, "--a", a, "--b", b, "--processes", "5", "--rounds", "6", "--warmups", "1")
    assert done.returncode == 0, done
    result = saved(tmp_path)
    found = estimate.ratio(estimate.log_ratios(result))
    assert found.value == pytest.approx(1.23, rel=0.02)
    assert f"**B is faster: {found.shown} times A.**" in done.stdout
    (folder,) = tmp_path.glob("out/smollm2/ab/*")
    assert (folder / "ab.md").read_text().strip() in done.stdout
    assert f" B is faster: {found.shown} times A\n" in (folder / "ab.log").read_text()
    assert sorted(path.name for path in folder.iterdir()) == [
        "ab.json",
        "ab.log",
        "ab.md",
        "worker-a.log",
        "worker-b.log",
    ]


def test_samples_are_the_latencies_that_each_side_took_in_the_drawn_order(bench, tmp_path):
    done = bench(*FAKE, "--a", side(seconds=[0.03]), "--b", side(seconds=[0.05]), *SHORT, "--seed", "7")
    assert done.returncode == 0, done
    result = saved(tmp_path)
    assert [[r.order for r in pair] for pair in result.rounds] == [rounds.orders(4, 7, pair) for pair in (1, 2)]
    for of, least in ((result.a, 0.03), (result.b, 0.05)):
        assert all(sample.seconds >= least for sample in of.valid_samples)
    log = next(tmp_path.glob("out/*/ab/*/ab.log")).read_text()
    order = "".join(line.split(", ")[1][0] for line in log.splitlines() if ": round " in line)
    assert order == "".join(r.order for pair in result.rounds for r in pair)


def test_the_other_side_is_idle(bench, tmp_path):
    """Sleeping for a second is no work, so a waiting process that spun would show."""
    done = bench(*FAKE, *SAME, "--processes", "1", "--rounds", "2", "--warmups", "0", env=sleeps(1.0))
    assert done.returncode == 0, done
    told = [cpus for pair in saved(tmp_path).rounds for r in pair for cpus in r.idle_cpus.values()]
    assert len(told) == 4
    assert all(cpus is not None and cpus < warnings.IDLE_CPUS for cpus in told)


def sleeps(*seconds: float) -> dict[str, str]:
    return {"BENCH_FAKE": json.dumps({"seconds": seconds})}


def test_one_pair_is_no_verdict(bench):
    done = bench(*FAKE, *SAME, "--processes", "1", "--rounds", "3", "--warmups", "0", env=sleeps(0.01))
    assert done.returncode == 0, done
    assert "no verdict" in done.stdout
    assert "warning few_pairs" in done.stdout


def test_pairs_are_added_until_the_target_is_met(bench, tmp_path):
    flags = ("--processes", "2", "--rounds", "1", "--warmups", "0", "--target_ci", "1%")
    done = bench(*FAKE, *SAME, *flags, env={"BENCH_FAKE": '{"virtual": true}'})
    assert done.returncode == 0, done
    assert len(saved(tmp_path).rounds) == 6
    assert saved(tmp_path).stopped == (
        "6 pairs of processes: the target is met; the interval is ± 0.00%, the target ± 1.00%"
    )


def test_pairs_are_not_added_where_no_round_is_valid(bench, tmp_path):
    flags = ("--processes", "2", "--rounds", "1", "--warmups", "0", "--target_ci", "1%")
    done = bench(*FAKE, *SAME, *flags, env={"BENCH_FAKE": '{"virtual": true, "new_tokens": 7}'})
    assert done.returncode == 1
    assert saved(tmp_path).stopped == ("2 pairs of processes: no round is valid, so there is no interval to narrow")


def test_another_python_runs_its_side(bench, tmp_path):
    """A script that starts this Python, and says that it was there."""
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\necho used >> {tmp_path}/used\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    done = bench(*FAKE, "--a", f"engine=fake python={other}", "--b", "engine=fake", *SHORT, env=sleeps(0.01))
    assert done.returncode == 0, done
    assert (tmp_path / "used").read_text().count("used") == 3  # what it lacks, and two processes
    text = ab_path(tmp_path).read_text()
    assert str(tmp_path) not in text
    assert saved(tmp_path).asked["A"]["python"] == "another"
    assert saved(tmp_path).a.environment["python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_python_that_lacks_packages_is_refused(bench, tmp_path):
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 'lacks torch' >&2\nexit 1\n")
    other.chmod(0o755)
    message = bench.refusal(3, *FAKE, "--a", f"engine=fake python={other}", "--b", "engine=fake")
    assert message.startswith(f"{other} lacks torch")


def test_a_side_keeps_the_suite_on_a_path_of_its_own_and_its_secret(bench, tmp_path):
    """Its PYTHONPATH has a module that starts with Python, and says that it was there."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text(f"open({str(tmp_path / 'used')!r}, 'a').write('used')\n")
    a = f"engine=fake env.PYTHONPATH={tmp_path / 'own'} env.hf_Token=hf_abc env.TOKENIZERS_PARALLELISM=true"
    done = bench(*FAKE, "--a", a, "--b", "engine=fake", *SHORT, env=sleeps(0.01))
    assert done.returncode == 0, done
    assert "used" in (tmp_path / "used").read_text()
    assert saved(tmp_path).asked["A"]["env.hf_Token"] == "(not shown)"
    assert "hf_Token=(not shown), TOKENIZERS_PARALLELISM=true" in done.stdout
    written = [path.read_text() for path in tmp_path.glob("out/*/ab/*/*")]
    assert not any("hf_abc" in text for text in [*written, done.stdout, done.stderr])


# What goes wrong.


@pytest.mark.parametrize(
    ("fault", "words"),
    [({"fail_at": 3}, "B: the fake engine failed, as asked"), ({"die_at": 3}, "B: the engine's process was killed")],
    ids=["fails", "is killed"],
)
def test_a_side_that_ends_leaves_what_was_measured(bench, tmp_path, fault, words):
    done = bench(*FAKE, "--a", side(seconds=[0.01]), "--b", side(seconds=[0.01], **fault), *SHORT)
    assert done.returncode == 1
    assert words in error_of(done.stderr)
    result = saved(tmp_path)
    assert result.status == "failed"
    assert words in result.error
    assert str(tmp_path) not in result.error
    assert [len(pair) for pair in result.rounds] == [2]
    assert [len(of.runs[0].samples) for of in result.sides.values()] == [2, 2]
    assert bench.processes() == []


def test_a_worker_killed_while_it_waits_is_one_line(bench, tmp_path):
    process = bench.start(*FAKE, *SAME, "--processes", "1", "--rounds", "400", "--warmups", "0", env=sleeps(0.05))
    wait_until(lambda: rounds_so_far(tmp_path) >= 2)
    worker = next(p for p in bench.processes() if "bench_deepspeed.worker.server" in p.cmdline())
    worker.kill()
    done = bench.finish(process)
    assert done.returncode == 1
    assert "the engine's process was killed" in error_of(done.stderr)
    result = saved(tmp_path)
    assert (result.status, len(result.rounds[0]) >= 2) == ("failed", True)
    assert bench.processes() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_whole_rounds_and_leaves_no_process(bench, tmp_path, number, code):
    """Each side's fourth call outlasts every test: two rounds are whole, after the warm-up."""
    process = bench.start(*FAKE, *SAME, *SHORT, env=sleeps(0.01, 0.01, 0.01, 600.0))
    wait_until(lambda: rounds_so_far(tmp_path) == 2)
    process.send_signal(number)
    done = bench.finish(process)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert bench.processes() == []
    result = saved(tmp_path)
    assert (result.status, result.b.status, len(result.rounds[0])) == ("interrupted", "interrupted", 2)
    assert [len(of.runs[0].samples) for of in result.sides.values()] == [2, 2]


def test_a_killed_parent_takes_both_workers_with_it(bench, tmp_path):
    process = bench.start(*FAKE, *SAME, *SHORT, env=sleeps(0.01, 0.01, 0.01, 600.0))
    wait_until(lambda: rounds_so_far(tmp_path) == 2)
    assert len(bench.processes()) >= 3
    process.kill()
    wait_until(lambda: bench.processes() == [])
    assert saved(tmp_path).status == "running"


def test_void_generations_are_left_out_and_end_in_an_error(bench, tmp_path):
    done = bench(*FAKE, "--a", side(new_tokens=7), "--b", side(), *SHORT)
    assert done.returncode == 1
    assert "8 generations are void" in error_of(done.stderr)
    assert "no verdict: no round is valid" in done.stdout
    assert saved(tmp_path).a.void_count == 8


def test_a_table_that_cannot_be_written_is_printed(tmp_path, monkeypatch, capsys):
    flags = ("--output_dir", str(tmp_path), *SAME, "--processes", "1", "--rounds", "1", "--warmups", "0")
    found, options = asked(*flags)
    monkeypatch.setattr(command, "write_atomically", no_space)
    with pytest.raises(MachineError, match=r"cannot write .*ab\.md: No space left on device"):
        command.run(found, options)
    assert "no verdict: B was" in capsys.readouterr().out


def no_space(path: Path, text: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("a", "words"),
    [
        ("engin=fake", "there is no key 'engin'"),
        ("engine=vllm", "engine cannot be 'vllm'"),
        ("engine", "'engine' is not key=value"),
        ("engine=fake engine=fake", "engine is given twice"),
        ("precision=int4", "precision cannot be 'int4'"),
        ("python=/nowhere/python", "no Python at '/nowhere/python'"),
        ("env.1=2", "there is no key 'env.1'"),
        ("engine='fake", "cannot be read"),
        ("engine=mii", "--engine mii does not run on cpu"),
        ("engine=fake precision=float16", "--engine fake does not run in float16"),
        ("env.CUDA_VISIBLE_DEVICES=0", "A and B run on one device; set CUDA_VISIBLE_DEVICES for the whole command"),
    ],
)
def test_a_configuration_that_cannot_be_is_one_line(bench, a, words):
    assert words in bench.refusal(2, "ab", "-d", "cpu", "--a", a, "--b", "engine=fake")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "the following arguments are required: --a, --b"),
        ((*SAME, "--rounds", "0"), "0 is too few"),
        ((*SAME, "--time_budget", "9"), "--time_budget limits the search for --target_ci"),
        ((*SAME, "-p", " "), "the prompt is empty"),
        ((*SAME, "--target_ci", "1"), "is not a percentage"),
    ],
)
def test_flags_that_cannot_be_are_one_line(bench, flags, words):
    assert words in bench.refusal(2, "ab", "-d", "cpu", *flags)


# The plan.


def asked(*flags: str) -> tuple[plan.Plan, Namespace]:
    options = parser.parse(["ab", "-d", "cpu", *flags])
    return plan.plan_of(options), options


def test_sides_differ_in_nothing_but_what_was_asked():
    found, _ = asked("--a", "engine=deepspeed", "--b", "precision=bfloat16 engine=transformers env.X=1", "-n", "llama")
    a, b = found.sides["A"].scenario, found.sides["B"].scenario
    assert (a.engine, a.precision, b.engine, b.precision) == ("deepspeed", "float32", "transformers", "bfloat16")
    assert {**vars(a), "engine": None, "precision": None} == {**vars(b), "engine": None, "precision": None}
    assert (a.max_tokens, a.repetitions, a.processes, a.model) == (32, 6, 5, "llama")
    assert (found.sides["A"].variables, found.sides["B"].variables) == ({}, {"X": "1"})


def test_what_does_not_fit_is_refused_with_the_arithmetic():
    """Two 7B models in float32 are 26.95 GB each; their caches hold 31 prompt bytes and 8 tokens, of 1 MiB each."""
    found, _ = asked("--a", "engine=transformers", "--b", "engine=deepspeed", "-n", "llama", "-m", "8", "-p", 30 * "x")
    needs = 2 * (4 * 6_738_415_616 + 39 * 2 * 32 * 4096 * 4 + 10**9)
    assert plan.refusal(found, needs) is None
    assert plan.refusal(found, None) is None
    refused = plan.refusal(found, needs - 1)
    assert "A: 26.95 GB weights + 0.04 GB KV cache + 1.00 GB all else; B: 26.95 GB" in refused
    assert f"{needs / 1e9:.2f} GB are free on cpu" in refused


def test_dry_run_touches_nothing(bench, tmp_path):
    done = bench(*FAKE, "--a", "engine=transformers", "--b", "engine=deepspeed env.A=b env.MY_KEY=k1", "--dry_run")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "A        transformers on cpu",
        "B        deepspeed on cpu",
        "A=b, MY_KEY=(not shown)",
        "5 pairs",
        "together",
    ):
        assert words in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_order_is_balanced_in_blocks_drawn_and_seeded():
    found = [rounds.orders(10, 3, pair) for pair in range(200)]
    for orders in found:
        assert all({*orders[k : k + 2]} == {"AB", "BA"} for k in range(0, 10, 2))
    firsts = sum(orders[k] == "AB" for orders in found for k in range(0, 10, 2))
    assert 420 < firsts < 580  # 1,000 fair draws: 500 ± 5 standard deviations
    assert rounds.orders(10, 3, 1) == found[1]
    assert rounds.orders(3, 3, 1) == found[1][:3]
    assert rounds.orders(10, 4, 1) != found[1] or rounds.orders(10, 4, 2) != found[2]


def test_a_steady_drift_cancels_out_of_two_rounds():
    drift, now = 0.05, 0
    result = comparison(([], []))

    def generate() -> Sample:
        nonlocal now
        now += 1
        return Sample(math.exp(drift * now), 3, 8)

    for order in rounds.orders(6, 0, 1):
        rounds.keep(rounds.timed(order, {"A": generate, "B": generate}), {"A": result.a.runs[0], "B": result.b.runs[0]})
    (logs,) = estimate.log_ratios(result)
    assert [abs(log) for log in logs] == pytest.approx(6 * [drift])
    assert sum(logs) == pytest.approx(0.0, abs=1e-12)


# The statistics.


def test_the_interval_is_students_over_the_pairs():
    pairs = [([1.0, 1.1, 1.2], [0.9, 0.95, 1.0]), ([2.0, 2.2], [1.9, 2.0]), ([1.0], [0.97])]
    result = comparison(*pairs)
    means = [numpy.mean(numpy.log(numpy.array(a) / numpy.array(b))) for a, b in pairs]
    low, high = scipy.stats.t.interval(0.95, 2, numpy.mean(means), scipy.stats.sem(means))
    found = estimate.ratio(estimate.log_ratios(result))
    assert (found.value, found.low, found.high) == pytest.approx(tuple(numpy.exp([numpy.mean(means), low, high])))
    assert found.n == 3


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (estimate.Ratio(1.23, 1.2, 1.26, 5), "B is faster: 1.23 [1.20, 1.26] times A"),
        (estimate.Ratio(0.81, 0.79, 0.83, 5), "B is slower: 0.81 [0.79, 0.83] times A"),
        (estimate.Ratio(1.004, 1.002, 1.006, 5), "B is faster: 1.004 [1.002, 1.006] times A"),
        (estimate.Ratio(1.0253, 1.0012, 1.05, 5), "B is faster: 1.025 [1.001, 1.050] times A"),
        (estimate.Ratio(0.97, 0.9432, 0.9996, 5), "B is slower: 0.9700 [0.9432, 0.9996] times A"),
        (
            estimate.Ratio(1.01, 0.98, 1.04, 5),
            "no difference shown: B ∕ A is 1.01 [0.98, 1.04], an interval that holds 1",
        ),
        (None, "no verdict: no round is valid"),
    ],
)
def test_sentences(found, words):
    assert estimate.sentence(found) == words


def test_where_the_width_comes_from():
    quiet_rounds = comparison(*[(6 * [1.0], [s, s * 1.001] * 3) for s in (0.9, 1.0, 1.1)])
    noisy_rounds = comparison(*[(6 * [1.0], [0.7, 1.4, 0.8, 1.3, 0.9, 1.1]) for _ in range(3)])
    assert "--processes" in estimate.remedy(estimate.noise(estimate.log_ratios(quiet_rounds)))
    assert "--rounds" in estimate.remedy(estimate.noise(estimate.log_ratios(noisy_rounds)))
    assert estimate.noise(estimate.log_ratios(comparison(([1.0], [1.0])))) is None


def test_compiling_and_building_count_as_loading():
    """Of the last pair: what the first one filled caches with is not needed again."""
    found, _ = asked(*SAME)
    result = comparison(*(3 * [([1.0], [1.0])]))
    result.rounds = 3 * [[]]
    of = command.Comparison(Namespace(result=result), found, Path(), None)
    of.scenario = found.sides["A"].scenario
    result.b.runs[0].compile_s = 60.0
    assert of._enough(0.0) is None
    result.b.runs[2].compile_s, result.b.runs[2].kernel_build_s = 15.0, 5.0
    assert of._enough(0.0) == (
        "3 pairs of processes, since loading the last took 21 s: --processes 5 asks for the others"
    )


class Loaded:
    """A worker whose engine has loaded, and compiled."""

    log_folder = Path()

    def send(self, *_) -> Pending:
        return Pending(
            lambda: tasks.Loaded(load_s=1.0, kernel_build_s=None, compile_s=30.0, engine=EngineDescription("fake"))
        )

    def call(self, *_) -> dict:
        return {"python": "3.10"}


def test_what_a_side_compiled_when_it_was_loaded_is_kept():
    found, _ = asked(*SAME)
    keeper = Namespace(result=comparison(), log=Namespace(loaded=lambda name, of: None))
    runs = {name: Run() for name in "AB"}
    of = command.Comparison(keeper, found, Path(), progress_bars.Bars())
    of._load({name: Loaded() for name in "AB"}, runs, {"A": None, "B": None}, "pair 1")
    assert [one.compile_s for one in runs.values()] == [30.0, 30.0]


def test_what_compiling_took_stands_beside_the_speeds():
    result = comparison(*(2 * [([1.0], [1.0])]))
    assert "compiling" not in report.text(result)
    for process, seconds in zip(result.b.runs, (32.21, 8.5), strict=True):
        process.compile_s = seconds
    assert [row["compiling"] for row in report.side_rows(result)] == ["none", "32.2 s, 8.5 s"]
    assert "compiling: of each process in turn" in report.text(result)


def test_what_a_side_compiled_while_it_was_timed_is_told():
    result = comparison(([1.0], [1.0]))
    result.b.runs[0].samples = [Sample(1.0, 3, 8, Reading(compilations=2))]
    (found,) = [finding for finding in warnings.check(result) if finding.code == "recompiled"]
    assert found.text.startswith("B: the engine compiled its model")


def test_a_process_that_does_not_wait_idly_is_told():
    result = comparison(([1.0], [1.0]))
    result.rounds[0] = [Round("AB", {"A": 0.02, "B": 0.97})]
    (found,) = [finding for finding in warnings.check(result) if finding.code == "not_idle"]
    assert "B kept up to 0.97 CPUs busy" in found.text
    result.rounds[0] = [Round("AB", {"A": 0.02, "B": None})]
    assert "not_idle" not in [finding.code for finding in warnings.check(result)]


@pytest.mark.parametrize(("seen", "kept"), [(None, None), (0, 0), (1, 0), (3, 2)])
def test_the_partner_is_no_stranger_on_the_gpu(seen, kept):
    sample = _without_partner(Sample(1.0, 3, 8, Reading(other_gpu_processes=seen, temperature_c=40)))
    assert (sample.reading.other_gpu_processes, sample.reading.temperature_c) == (kept, 40)
    assert _without_partner(Sample(1.0, 3, 8)).reading is None


# What is published.


def published(folder: Path, **changes) -> Path:
    """A page for comparisons of Llama, and one comparison below its results."""
    page = folder / "docs" / "page.md"
    evidence = folder / "docs" / "results" / "ab" / "one.json"
    evidence.parent.mkdir(parents=True)
    page.write_text("<!-- ab: llama -->\n<!-- /ab -->\n")
    a = published_result(processes=2)
    b = published_result(processes=2, engine="transformers", seconds=(4.0, 8.0))
    for of in (a, b):
        of.model |= {"digest": "aa"}
        of.limits = LIMITS
    result = AbResult(a, b, {"A": {"engine": "mii"}, "B": {}}, status="complete", started_at=a.started_at)
    result.rounds = 2 * [2 * [Round("AB", {"A": 0.0, "B": 0.0})]]
    for name, value in changes.items():
        setattr(result, name, value)
    result.save(evidence)
    return page


def render(page: Path) -> str:
    assert documents.run(Namespace(check=False), [page], page.parent / "results") == 0
    return page.read_text()


def test_a_published_comparison_is_its_table_and_verdict(tmp_path):
    text = render(published(tmp_path))
    assert "**B is slower: 0.50000 [0.50000, 0.50000] times A.**" in text
    assert "mii, float16" in text
    assert "transformers, float16" in text
    assert "[JSON](results/ab/one.json)" in text


def test_nothing_published_is_not_measured(tmp_path):
    page = published(tmp_path)
    (page.parent / "results" / "ab" / "one.json").unlink()
    assert "Not measured yet." in render(page)


def test_what_measures_nothing_is_not_published(tmp_path):
    fake = published_result(engine="fake", processes=2)
    with pytest.raises(BenchError, match="cannot be published: an engine without a model measures nothing"):
        render(published(tmp_path / "1", b=fake))
    with pytest.raises(BenchError, match="its status is 'interrupted'"):
        render(published(tmp_path / "2", status="interrupted"))


def test_other_versions_are_in_the_title(tmp_path):
    result = AbResult.load(published(tmp_path).parent / "results" / "ab" / "one.json")
    result.b.environment["packages"] = {**result.b.environment["packages"], "deepspeed": "0.19.7"}
    assert "mii, float16, deepspeed 0.19.8" in report.table(result)
    assert "transformers, float16, deepspeed 0.19.7" in report.table(result)


# Real engines.


def test_two_real_engines_at_once(bench, tmp_path, smollm2_models_dir):
    sides = ("--a", "engine=deepspeed", "--b", "engine=transformers")
    flags = ("-n", "smollm2", "-m", "8", "--processes", "2", "--rounds", "2", "--warmups", "1")
    done = bench(*FAKE[:5], *sides, *flags, "--models_dir", smollm2_models_dir, env={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done
    result = saved(tmp_path)
    assert result.status == "complete"
    assert result.a.model["digest"] == result.b.model["digest"]
    for of in result.sides.values():
        assert [len(run.samples) for run in of.runs] == [2, 2]
        assert {(sample.prompt_tokens, sample.new_tokens) for sample in of.valid_samples} == {(8, 8)}
        assert of.limits.read_bytes_per_s > 0
        assert of.engine.reads_weights
    assert estimate.sentence(estimate.ratio(estimate.log_ratios(result))) in done.stdout
    assert bench.processes() == []
