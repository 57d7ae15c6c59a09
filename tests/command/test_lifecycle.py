"""The folder of a run: what it holds before anything is measured, and after every end, whatever the command."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from support import fake_side as side
from support import wait_until

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common.run_folder import RunFolder
from bench_deepspeed.benchmarks.selftest.records import SelfTest
from bench_deepspeed.benchmarks.sweep import command as sweep
from bench_deepspeed.core import folder_lock, signals
from bench_deepspeed.core.errors import BenchError, MachineError, UsageError
from bench_deepspeed.core.folder_lock import hold, unheld
from bench_deepspeed.core.paths import RESULTS

PLACES = ("-d", "cpu", "--output_dir", "out", "--models_dir", "models")
SIDES = ("--a", side(seconds=[1.0], virtual=True), "--b", side(seconds=[2.0], virtual=True))
SLOW_SIDES = ("--a", side(seconds=[600.0]), "--b", side(seconds=[600.0]))
ONE = ("--processes", "1", "-r", "1", "-m", "2", "--warmups", "0")
SWEEP = (
    "sweep",
    "--engines",
    "fake",
    "--batch_sizes",
    "1",
    "--prompt_tokens",
    "4",
    "--max_tokens",
    "2",
    "--processes",
    "1",
)
LOAD = ("load", "--target", "stub", "--clients", "1", "--prompt_tokens", "4", "-m", "2")
COMPLETE = {
    "run": ("--engine", "fake", *ONE),
    "sweep": SWEEP,
    "load": (*LOAD, "--seconds", "0.3"),
    "ab": ("ab", *SIDES, "--processes", "2", "--rounds", "2", "-m", "2"),
}
"""Kind → a command of it that ends soon. Those of quality and selftest do not: their own tests see them complete."""
ENDLESS = {
    **COMPLETE,
    "load": (*LOAD, "--seconds", "600"),
    "ab": ("ab", *SLOW_SIDES, "--processes", "2", "--rounds", "2", "-m", "2"),
    "quality": ("quality", "-n", "smollm2"),  # the weights are not there yet
    "selftest": ("selftest", "--engine", "fake", "--budget", "600"),
}
"""Kind → a command of it that outlasts every test, with `SLOW`."""
SLOW = {"seconds": [600.0], "at_batch": {"1": "sleep"}}


def test_every_kind_that_measures_is_seen_under_signals():
    measures = [name for name in registry.KINDS if find_spec(registry.KINDS[name].replace(".kind", ".measure"))]
    assert set(measures) == {*ENDLESS, "referee"}  # which has no worker, but tools: test_referee.py


def start(bench, arguments, **behaviour):
    return bench.start(*arguments, *PLACES, env={"BENCH_FAKE": json.dumps(behaviour)})


def workers(process) -> list[psutil.Process]:
    """The worker processes of a command."""
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if "bench_deepspeed.worker.server" in child.cmdline()]
    except psutil.Error:  # one has just started, or just ended
        return []


def file_of(folder: Path, kind: str) -> Path:
    """The only file of a run of this kind below `out`."""
    (path,) = (folder / "out").rglob(registry.kind(kind).file)
    return path


def statuses(bench) -> dict[str, tuple[str, str | None]]:
    """Kind → status and error of each run, as `bench.sh results` lists them."""
    done = bench("results", "--output_dir", "out", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return {run["kind"]: (run["status"], run["error"]) for run in json.loads(done.stdout)}


def unfinished_files(folder: Path) -> list[Path]:
    return [path for path in (folder / "out").rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize(
    "ending",
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "interrupted"), (signal.SIGKILL, -9, "killed")],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_run_that_a_signal_ends_has_its_file_from_the_start(bench, tmp_path, kind, ending):
    number, code, status = ending
    process = start(bench, ENDLESS[kind], **SLOW)
    wait_until(lambda: workers(process))
    path = file_of(tmp_path, kind)
    assert json.loads(path.read_text())["status"] == "running"
    os.kill(process.pid, number)
    done = bench.finish(process)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert (path.parent.relative_to(tmp_path).as_posix() in done.stderr) == (status == "interrupted")
    wait_until(lambda: bench.processes() == [])
    assert statuses(bench) == {kind: (status, None)}
    assert status == "killed" or unfinished_files(tmp_path) == []


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_run_whose_engine_dies_has_failed(bench, tmp_path, kind):
    """Of a sweep it is the process that looks at the device: it goes on without a scenario whose engine dies."""
    process = start(bench, ENDLESS[kind], **SLOW, lies=kind == "sweep")
    worker, *_ = wait_until(lambda: workers(process))
    worker.kill()
    done = bench.finish(process)
    assert done.returncode == 1, done
    ((status, error),) = statuses(bench).values()
    assert status == "failed"
    assert "the engine's process was killed" in error
    assert str(tmp_path) not in error
    assert unfinished_files(tmp_path) == []


@pytest.mark.parametrize("kind", COMPLETE)
def test_a_run_that_reaches_its_end_is_complete(bench, tmp_path, kind):
    done = bench.finish(start(bench, COMPLETE[kind], virtual=True))
    assert done.returncode == 0, done
    assert statuses(bench) == {kind: ("complete", None)}
    assert unfinished_files(tmp_path) == []


@dataclass
class Saved:
    """A result; `fails` is raised by the next attempt to save it."""

    status: str = "complete"
    error: str | None = None
    fails: list[BaseException] = field(default_factory=list)

    def save(self, path: Path) -> None:
        if self.fails:
            raise self.fails.pop()
        path.write_text(json.dumps([self.status, self.error]))


def interrupt(*_) -> None:
    raise KeyboardInterrupt


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (None, "complete", None),
        (BenchError("no luck"), "failed", "no luck"),
        (ValueError("x"), "failed", "a defect of this suite: ValueError('x')"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_status_follows_from_how_the_block_ends(tmp_path, capsys, error, status, words):
    try:
        with RunFolder(tmp_path / "model", "x.json", Saved(), log="x.log", where="look into {}") as recorder:
            assert json.loads(recorder.path.read_text()) == ["running", None]
            with unheld(recorder.folder) as free:
                assert not free
            if error:
                raise error
    except type(error) as raised:
        assert raised is error
    assert json.loads(recorder.path.read_text()) == [status, words]
    assert recorder.log.path.read_text().endswith(f" status {status}" + (f": {words}\n" if words else "\n"))
    assert "look into" not in capsys.readouterr().err


def test_after_a_signal_the_status_is_interrupted_and_the_folder_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(signals, "_RECEIVED", [(signal.SIGINT, 0.0)])
    with (
        pytest.raises(KeyboardInterrupt),
        RunFolder(tmp_path / "model", "x.json", Saved(), log="x.log", where="look into {}") as recorder,
    ):
        raise KeyboardInterrupt
    assert json.loads(recorder.path.read_text()) == ["interrupted", None]
    assert recorder.log.path.read_text().endswith(" status interrupted\n")
    assert "look into" in capsys.readouterr().err


@pytest.mark.parametrize("error", [full_disk(), KeyboardInterrupt()], ids=["full disk", "Ctrl-C"])
def test_a_failed_start_leaves_no_folder(tmp_path, error):
    with pytest.raises(MachineError if isinstance(error, OSError) else KeyboardInterrupt):
        RunFolder(tmp_path, "x.json", Saved(fails=[error]), log="x.log").__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_the_machines_lack(tmp_path):
    result = Saved()
    with (
        pytest.raises(MachineError, match=r"^cannot write .*x\.json: No space left"),
        RunFolder(tmp_path, "x.json", result) as recorder,
    ):
        result.fails = [full_disk()]
        recorder.save()
    assert json.loads(recorder.path.read_text())[0] == "failed"


def test_a_folder_that_is_there_is_not_made_anew(tmp_path):
    (tmp_path / "result.json").touch()
    with RunFolder(tmp_path, "x.json", Saved(), new=False) as recorder:
        assert recorder.folder == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", "x.json"}
    with pytest.raises(MachineError):
        RunFolder(tmp_path, "x.json", Saved(fails=[full_disk()]), new=False).__enter__()
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", "x.json"}


@pytest.mark.parametrize("signals", [1, 2])
def test_a_scratch_folder_is_gone_after_an_interruption(tmp_path, monkeypatch, signals):
    """Also where a second signal comes while it is being removed."""
    if signals == 2:
        monkeypatch.setattr(
            tempfile.TemporaryDirectory, "__exit__", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
    with (
        pytest.raises(KeyboardInterrupt),
        RunFolder(tmp_path, "x.json", Saved()) as recorder,
        recorder.scratch() as scratch,
    ):
        (scratch / "logits").touch()
        raise KeyboardInterrupt
    assert [path.name for path in recorder.folder.iterdir()] == ["x.json"]


def test_a_sweep_is_not_read_while_another_process_may_write_it(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "WAIT_S", 0.05)
    (tmp_path / "sweep.json").write_text("{")
    hold(tmp_path)
    with pytest.raises(UsageError, match="another process is at work in"):
        sweep.run(argparse.Namespace(resume=tmp_path))


def test_published_self_tests_are_complete():
    paths = list((RESULTS / "selftests").glob("*.json"))
    assert paths
    assert {SelfTest.load(path).status for path in paths} == {"complete"}


def test_a_self_test_survives_saving(tmp_path):
    test = SelfTest("", {}, "hello", 2, 0.005, 0.95, status="failed", error="why")
    test.save(tmp_path / "selftest.json")
    assert SelfTest.load(tmp_path / "selftest.json") == test


def test_what_is_refused_on_the_way_leaves_the_file_as_it_was(tmp_path):
    """As when a sweep is resumed on another GPU: nothing was started."""
    path = tmp_path / "saved.json"
    Saved("complete").save(path)
    before = path.read_bytes()
    with pytest.raises(UsageError), RunFolder(tmp_path, path.name, Saved("complete"), log="log", new=False) as folder:
        assert json.loads(path.read_text())[0] == "running"
        folder.result.error = "changed"
        folder.save()
        raise UsageError("another GPU")
    assert path.read_bytes() == before
    assert (tmp_path / "log").read_text().endswith(" refused: another GPU\n")
    with pytest.raises(MachineError), RunFolder(tmp_path, path.name, Saved("complete"), new=False):
        raise MachineError("no disk")
    assert json.loads(path.read_text()) == ["failed", "no disk"]
