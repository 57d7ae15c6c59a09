"""Signals: status and exit code are those of the signal, whatever becomes of the exception that it raises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from support import DEADLINE_S, ROOT, SHORTEST, result_in, wait_until

from bench_deepspeed.benchmarks.common.run_folder import status_of
from bench_deepspeed.core import signals
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.worker.client import WorkerProcess

SLOW_MODULE = """
import pathlib, time
pathlib.Path({reached!r}).touch()
try:
    exec("time.sleep(600)")
except BaseException as error:
    {then}
"""
"""Interrupted in a string that it executes, as where a dataclass is defined: Python wants to end by SIGINT then."""
SLOW_START = """
import pathlib, time
pathlib.Path({reached!r}).touch()
time.sleep(0.5)
"""
THEN = {
    "turns into another": "raise ImportError('initialization failed') from error",
    "swallows": "pass",
}
MORE = {"diptest": ("-r", "10")}
"""Module → flags with which it is imported, for the statistics: of fewer repetitions there are none."""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture
def received(monkeypatch) -> list:
    """The record, empty, and as it was afterwards."""
    monkeypatch.setattr(signals, "_RECEIVED", [])
    return signals._RECEIVED


def interrupted(bench, command: str, module: str, then: str, number: int = signal.SIGHUP):
    """Run a command, and send a signal while it imports a module that then does something with the exception."""
    stubs, reached = bench.cwd / "stubs", bench.cwd / "reached"
    stubs.mkdir()
    (stubs / f"{module}.py").write_text(SLOW_MODULE.format(reached=str(reached), then=THEN[then]))
    flags = (*SHORTEST[command], *MORE.get(module, ()), "--output_dir", "out")
    process = bench.start(*flags, env={"PYTHONPATH": str(stubs)})
    wait_until(reached.exists)
    process.send_signal(number)
    done = bench.finish(process)
    assert done.returncode == CODES[number], done.stderr
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr
    assert done.stderr.splitlines()[-1] == "bench.sh: " + ("interrupted" if number == signal.SIGINT else "terminated")
    bench.require_none_left()


@pytest.mark.parametrize("then", THEN)
def test_a_signal_during_an_import_keeps_the_samples(bench, tmp_path, then):
    interrupted(bench, "run", "diptest", then)
    result = result_in(tmp_path)
    assert (result["status"], result["error"]) == ("interrupted", None)
    assert len(result["runs"][0]["samples"]) == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_each_signal_has_its_code_whatever_exception_surfaces(bench, tmp_path, number):
    interrupted(bench, "run", "diptest", "turns into another", number)
    assert result_in(tmp_path)["status"] == "interrupted"


@pytest.mark.parametrize("command", ["sweep", "load"])
def test_a_signal_while_the_figures_are_drawn_takes_nothing_from_the_result(bench, tmp_path, command):
    interrupted(bench, command, "vl_convert", "turns into another")
    assert result_in(tmp_path)["status"] == "complete"


@pytest.mark.parametrize("then", THEN)
def test_a_signal_during_the_first_imports_lets_nothing_start(bench, tmp_path, then):
    interrupted(bench, "run", "psutil", then)
    assert {json.loads(path.read_text())["status"] for path in tmp_path.rglob("result.json")} <= {"interrupted"}
    assert list(tmp_path.rglob("worker.log")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_python_starts_waits_for_its_handler(bench, tmp_path, number):
    """In an interpreter that has not begun, Ctrl-C would be a traceback and exit code 1."""
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs" / "sitecustomize.py").write_text(SLOW_START.format(reached=str(tmp_path / "reached")))
    process = bench.start(*SHORTEST["run"], env={"PYTHONPATH": str(tmp_path / "stubs")})
    wait_until((tmp_path / "reached").exists)
    process.send_signal(number)
    done = bench.finish(process)
    assert done.returncode == CODES[number], done
    assert done.stderr == f"bench.sh: {'interrupted' if number == signal.SIGINT else 'terminated'}\n"
    assert list(tmp_path.rglob("result.json")) == []


def test_the_status_is_that_of_the_signal(received):
    assert status_of(None) == ("complete", None)
    assert status_of(BenchError("words")) == ("failed", "words")
    received.append((signal.SIGHUP, 0.0))
    for error in (None, KeyboardInterrupt(), ImportError("initialization failed"), BenchError("words")):
        assert status_of(error) == ("interrupted", None)


def test_after_a_signal_that_was_swallowed_no_worker_is_called(received, tmp_path):
    received.append((signal.SIGTERM, 0.0))
    with pytest.raises(KeyboardInterrupt):
        WorkerProcess(tmp_path / "log", lambda *progress: None).send("generate")


def test_a_signal_that_is_repeated_at_once_does_not_interrupt_the_clean_up(received, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        signals._interrupt(signal.SIGHUP, None)
    signals._interrupt(signal.SIGTERM, None)
    assert signals.received() == signal.SIGHUP
    monkeypatch.setattr(signals, "REPEAT_S", 0.0)
    monkeypatch.setattr(signals, "_end_at_once", lambda: received.append("ended"))
    signals._interrupt(signal.SIGTERM, None)
    assert signals.received() == signal.SIGHUP
    assert received[-1] == "ended"


STUCK = """
import pathlib, time
from bench_deepspeed.core import signals
from bench_deepspeed.worker.client import WorkerProcess
signals.install()
with WorkerProcess(pathlib.Path("log"), print):
    try:
        print("ready", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        print("cleaning up", flush=True)
        time.sleep(600)
"""


def test_a_second_ctrl_c_ends_at_once_with_one_line_and_leaves_no_worker(tmp_path):
    command = [sys.executable, "-c", STUCK]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == "ready\n"
    (worker,) = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning up\n"
    time.sleep(signals.AGAIN_S)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, stderr) == (130, signals.AGAIN)
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


class Interrupted:
    """Its end, like a callback of Python's own, is interrupted: an exception there can go nowhere."""

    def __del__(self):
        signals._interrupt(signal.SIGTERM, None)


class Faulty:
    """Its end raises an exception that is no signal's."""

    def __del__(self):
        raise ValueError("a defect")


def test_a_signal_in_a_callback_prints_no_traceback_and_a_defect_does(received, monkeypatch, capsys):
    monkeypatch.setattr(sys, "unraisablehook", signals._unraisable)
    Interrupted()
    assert capsys.readouterr().err == ""
    assert signals.received() == signal.SIGTERM
    Faulty()
    assert "ValueError: a defect" in capsys.readouterr().err
