"""Several ranks as processes, with the fake engine: what is saved, and that none is left whichever of them ends."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import psutil
import pytest
from support import error_of, gpu_path, result_in, sweep_of, unwrapped, wait_until

from bench_deepspeed.benchmarks.ab.records import AbResult
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.core.ports import free_port
from bench_deepspeed.measure.records import Result
from bench_deepspeed.worker.ranks import Ranks

TWO = ("--tensor_parallel", "2", "-r", "2", "-m", "4", "--warmups", "1")
ENDLESS = {"seconds": [600.0]}


def followers(bench) -> list[psutil.Process]:
    """The ranks other than 0 that run now."""
    return [process for process in bench.processes() if process.environ().get("RANK") == "1"]


def leaders(bench) -> list[psutil.Process]:
    """Rank 0: it set its own variables after it had started, so that its children alone have them."""
    return [process.parent() for process in followers(bench)]


@pytest.fixture
def busy(bench):
    """A run whose two ranks generate for ten minutes."""
    process = bench.start_fake(*TWO, behaviour=ENDLESS)
    log = wait_until(lambda: next(bench.cwd.glob("out/smollm2/*/performance.log"), None))
    wait_until(lambda: "engine loaded" in log.read_text())
    return process


def test_a_run_on_two_ranks_is_saved_with_their_number_and_leaves_none(bench):
    done = bench.fake(*TWO)
    assert done.returncode == 0, done.stderr
    bench.require_none_left()
    (path,) = bench.cwd.glob("out/smollm2/*/result.json")
    result = Result.load(path)
    assert (result.scenario.tensor_parallel, result.engine.tensor_parallel) == (2, 2)
    assert len(result.valid_samples) == 2
    assert "2 ranks" in done.stdout
    assert (path.parent / "worker-rank1.log").exists()
    (listed,) = json.loads(bench("results", "--output_dir", "out", "--json").stdout)
    assert listed["tensor_parallel"] == [2]


def test_two_ranks_are_compared_with_one(bench):
    sides = ("--a", "engine=fake", "--b", "engine=fake tensor_parallel=2")
    done = bench("ab", "-d", "cpu", "--output_dir", "out", *sides, "--processes", "1", "-r", "2", "-m", "4")
    assert done.returncode == 0, done.stderr
    bench.require_none_left()
    (path,) = bench.cwd.glob("out/smollm2/ab/*/ab.json")
    result = AbResult.load(path)
    assert [side.engine.tensor_parallel for side in result.sides.values()] == [None, 2]
    assert [len(side.valid_samples) for side in result.sides.values()] == [2, 2]
    assert "fake, 2 ranks" in unwrapped(done.stdout)
    assert (path.parent / "ranks-b" / "worker-rank1.log").exists()
    lines = bench("report", path, "--format", "jsonl", "--samples").stdout.splitlines()
    assert {(row["side"], row["tensor_parallel"]) for row in map(json.loads, lines)} == {("A", 1), ("B", 2)}


def test_a_rank_that_is_killed_ends_all_with_its_number_and_code(bench, busy):
    (rank,) = followers(bench)
    rank.kill()
    done = bench.finish(busy)
    assert done.returncode == 1
    words = error_of(done.stderr)
    assert words.startswith("rank 1 of 2 was killed, most often for lack of memory; exit code 137, last words: ''")
    assert "worker-rank1.log" in words
    bench.require_none_left()
    assert result_in(bench.cwd)["status"] == "failed"


def test_a_killed_rank_0_is_named_too(bench, busy):
    (rank,) = leaders(bench)
    rank.kill()
    done = bench.finish(busy)
    assert done.returncode == 1
    assert error_of(done.stderr).startswith("rank 0 of 2 was killed")
    bench.require_none_left()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_whatever_ends_the_run_ends_all_ranks(bench, busy, number, code):
    busy.send_signal(number)
    assert bench.finish(busy).returncode == code
    bench.require_none_left()


def test_an_error_on_another_rank_is_the_run_s_with_the_rank_s_number(bench):
    done = bench.fake(*TWO, behaviour={"ranks": {"1": {"fail_at": 1}}, "seconds": [0.5]})
    assert done.returncode == 1
    assert error_of(done.stderr) == "rank 1 of 2: the fake engine failed, as requested"
    bench.require_none_left()


def test_a_rank_that_ends_by_itself_is_reported_with_its_last_words(bench):
    stubs = bench.cwd / "stubs"
    stubs.mkdir()
    code = "import os, sys\nif os.environ.get('RANK') == '1':\n    print('no such card', flush=True)\n    os._exit(7)\n"
    (stubs / "sitecustomize.py").write_text(code)
    done = bench.fake(*TWO, env={"PYTHONPATH": str(stubs)})
    assert done.returncode == 1
    assert error_of(done.stderr).startswith("rank 1 of 2 ended with code 7; exit code 7, last words: 'no such card' (")
    bench.require_none_left()


def test_a_sweep_over_ranks_ends_with_their_efficiency(bench):
    flags = ("sweep", "--engines", "fake", "--tensor_parallel", "1,2", "--batch_sizes", "1", "--prompt_tokens", "4")
    done = bench(*flags, "-d", "cpu", "--max_tokens", "4", "--processes", "2", "-r", "1", "--output_dir", "out")
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(bench.cwd)
    assert [(s.tensor_parallel, s.status) for s in sweep.scenarios] == [(1, "complete"), (2, "complete")]
    assert sorted(visit.tensor_parallel for visit in sweep.order) == [1, 1, 2, 2]
    assert sorted(load.describe.tensor_parallel or 1 for load in sweep.loads) == [1, 1, 2, 2]
    assert "Scaling over ranks" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    bench.require_none_left()


def test_a_batch_after_one_whose_check_failed_is_measured_by_ranks_in_step(bench):
    """The other ranks still wait in what failed on rank 0: the next batch gets new ones."""
    flags = ("sweep", "--engines", "fake", "--tensor_parallel", "2", "--batch_sizes", "1,2", "--prompt_tokens", "4")
    behaviour = {"ranks": {"0": {"fail_memory": True}}}
    short = ("-d", "cpu", "--max_tokens", "4", "--processes", "1", "-r", "1", "--output_dir", "out")
    done = bench(*flags, *short, env={"BENCH_FAKE": json.dumps(behaviour)})
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(bench.cwd)
    assert [scenario.status for scenario in sweep.scenarios] == ["complete", "complete"]
    assert len(sweep.loads) == 2
    bench.require_none_left()


def test_a_rank_that_does_not_join_in_time_is_named(tmp_path: Path, monkeypatch):
    """This process takes the part of rank 0; the other one is stopped before it can answer."""
    failed: list[BenchError] = []
    told = threading.Event()

    def fail(error: BenchError) -> None:
        failed.append(error)
        told.set()

    monkeypatch.setattr(os, "environ", dict(os.environ))
    ranks = Ranks(2, free_port(), tmp_path, fail)
    (child,) = psutil.Process().children()
    try:
        child.suspend()
        threading.Thread(target=lambda: ranks.joining(0.3).__enter__(), daemon=True).start()
        assert told.wait(10)
    finally:
        child.kill()
        child.wait()
    assert isinstance(failed[0], MachineError)
    assert str(failed[0]).startswith("rank 1 of 2 has not joined the others within 0.3 s")


def test_fewer_gpus_than_ranks_are_refused_before_anything_is_fetched(bench):
    env = gpu_path(bench.cwd, "NVIDIA H200, 9.0, 143771, 580.1")
    for command in ((), ("sweep",)):
        words = bench.refusal(3, *command, "-n", "llama", "--tensor_parallel", "2", "--models_dir", "none", env=env)
        assert words.startswith("--tensor_parallel 2: each rank needs a GPU of its own, and this machine offers 1")
    assert not (bench.cwd / "none").exists()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (
            ("-d", "cpu", "-n", "smollm2", "--tensor_parallel", "4"),
            2,
            "deepspeed cannot split smollm2 over 4 ranks: it",
        ),
        (("-d", "cpu", "--engine", "transformers", "-n", "smollm2", "--tensor_parallel", "2"), 2, "no multiple of 2"),
    ],
)
def test_what_cannot_be_split_is_refused_before_anything_starts(bench, flags, code, words):
    assert words in bench.refusal(code, *flags)
