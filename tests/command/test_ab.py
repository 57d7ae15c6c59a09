"""`bench.sh ab`: order, statistics, verdicts, failures, signals, and two real engines at once."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import sys
from pathlib import Path

import pytest
import scipy.stats
from support import error_of, unwrapped, wait_until
from support import fake_side as side
from support import saved_ab as saved

from bench_deepspeed.benchmarks.ab import command, estimate, plan, rounds, warnings
from bench_deepspeed.benchmarks.common import run_folder
from bench_deepspeed.cli import parser
from bench_deepspeed.core.errors import MachineError

FAKE = ("ab", "-d", "cpu", "--output_dir", "out", "-m", "8")
SAME = ("--a", "engine=fake", "--b", "engine=fake")
SHORT = ("--processes", "2", "--rounds", "4", "--warmups", "1")
NOISE = {"independent": 0.03, "autocorrelated": 0.02, "autocorrelation": 0.7, "between": 0.025}


def ab_path(folder: Path) -> Path | None:
    return next(folder.glob("out/*/ab/*/ab.json"), None)


def rounds_so_far(folder: Path) -> int:
    path = ab_path(folder)
    return sum(map(len, json.loads(path.read_text())["rounds"])) if path else 0


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
    assert estimate.verdict(found) in done.stdout
    assert "the same configuration" in done.stdout
    assert "4 pairs of processes, as requested" in done.stderr
    said = [
        text for text in unwrapped(done.stderr).split("power: ")[1:] if text.startswith("4 pairs × 5 rounds can show B")
    ]
    assert len(said) == 2
    assert "by the noise of 4 published comparisons on NVIDIA H100 80GB HBM3" in said[0]
    assert "by the first 3 pairs, which differ by " in said[1]
    assert f"by 4 pairs that differ as these do: B {found.detectable.shown} than A" in unwrapped(done.stdout)
    bench.require_none_left()


def test_a_known_difference_is_found(bench, tmp_path):
    """The clocks are virtual, so the ratio is exact, apart from 1% of noise."""
    noise = {"independent": 0.01}
    a, b = (side(virtual=True, seconds=[seconds], noise=noise) for seconds in (1.23, 1.0))
    done = bench(*FAKE, "--a", a, "--b", b, "--processes", "5", "--rounds", "6", "--warmups", "1")
    assert done.returncode == 0, done
    result = saved(tmp_path)
    found = estimate.ratio(estimate.log_ratios(result))
    assert found.value == pytest.approx(1.23, rel=0.02)
    assert f"B is faster: {found.shown} times A\n" in done.stdout
    (folder,) = tmp_path.glob("out/smollm2/ab/*")
    assert f"B is faster: {found.shown} times A" in (folder / "ab.md").read_text()
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
    reported = [cpus for pair in saved(tmp_path).rounds for r in pair for cpus in r.idle_cpus.values()]
    assert len(reported) == 4
    assert all(cpus is not None and cpus < warnings.IDLE_CPUS for cpus in reported)


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
    assert saved(tmp_path).a.environment.python == ".".join(map(str, sys.version_info[:3]))


def test_a_python_that_lacks_packages_is_refused(bench, tmp_path):
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 'lacks torch' >&2\nexit 1\n")
    other.chmod(0o755)
    message = bench.refusal(3, *FAKE, "--a", f"engine=fake python={other}", "--b", "engine=fake")
    assert message.startswith(f"{other} lacks torch")
    message = bench.refusal(3, *FAKE, "--a", "engine=fake python=/bin/true", "--b", "engine=fake", "--dry_run")
    assert message.startswith("/bin/true is no Python")


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
    [
        ({"fail_at": 3}, "B: the fake engine failed, as requested"),
        ({"die_at": 3}, "B: the engine's process was killed"),
    ],
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
    bench.require_none_left()


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
    bench.require_none_left()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_whole_rounds_and_leaves_no_process(bench, tmp_path, number, code):
    """Each side's fourth call outlasts every test: two rounds are whole, after the warm-up."""
    process = bench.start(*FAKE, *SAME, *SHORT, env=sleeps(0.01, 0.01, 0.01, 600.0))
    wait_until(lambda: rounds_so_far(tmp_path) == 2)
    process.send_signal(number)
    done = bench.finish(process)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    bench.require_none_left()
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


# The plan.


def test_a_table_that_cannot_be_written_is_printed(tmp_path, monkeypatch, capsys):
    flags = ("--output_dir", str(tmp_path), *SAME, "--processes", "1", "--rounds", "1", "--warmups", "0")
    options = parser.parse(["ab", "-d", "cpu", *flags])
    monkeypatch.setattr(run_folder, "write_atomically", no_space)
    with pytest.raises(MachineError, match=r"cannot write .*ab\.md: No space left on device"):
        command.run(plan.plan_of(options), options)
    assert "no verdict: B was" in capsys.readouterr().out


def no_space(path: Path, text: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
