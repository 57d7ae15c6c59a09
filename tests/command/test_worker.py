"""A worker process, asked over its socket: what it answers, and that its group ends with the exchange."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from support import ROOT, wait_until

END_S = 10  # the group must be gone by then; one that is left behind stays for ten minutes
BUSY = {"seconds": [600.0], "at_batch": {"2": "sleep"}}
LOAD = {"folder": None, "log_folder": "", "device": "cpu", "precision": "float32", "prompts": [], "max_tokens": 8}
TASKS = "bench_deepspeed.worker.tasks"
SWEPT = "bench_deepspeed.benchmarks.sweep.batches:measure"
BATCH = {"prompt_tokens": 4, "max_tokens": 8, "warmups": 0, "repetitions": 1, "seed": 0}


class Parent:
    """The parent's end of a real worker, whose process group holds another process too."""

    def __init__(self, log: Path):
        self._log = log
        self.socket, theirs = socket.socketpair()
        # The shell becomes the worker, and the process that it started before stays in the group.
        command = f'sleep 600 & exec "{sys.executable}" -m bench_deepspeed.worker.server {theirs.fileno()}'
        with theirs, log.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "-c", command],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), "BENCH_FAKE": json.dumps(BUSY)},
            )

    def send(self, name: str, **arguments) -> None:
        self.socket.sendall(json.dumps({"call": name, "arguments": arguments}).encode() + b"\n")

    def receive(self) -> dict:
        """The next message, whole."""
        received = b""
        while not received.endswith(b"\n"):
            received += self.socket.recv(1)
        return json.loads(received)

    def wait_for_reply(self) -> None:
        """Return when a message has come, and leave it unread."""
        select.select([self.socket], [], [])

    def load(self) -> None:
        self.send(f"{TASKS}:load", engine="fake", settings=LOAD)
        assert "result" in self.receive()

    def occupy(self) -> None:
        """Have the worker generate for ten minutes."""
        self.load()
        self.send(f"{TASKS}:generate", prompt="", max_tokens=8)

    def log(self) -> str:
        return self._log.read_text()

    def group_is_gone(self) -> bool:
        return not any(self._is_running(process) for process in psutil.process_iter())

    def _is_running(self, process: psutil.Process) -> bool:
        """Whether the process is one of the worker's group, and not one that only waits to be reaped."""
        try:
            return os.getpgid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.socket.close()


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    started = Parent(tmp_path / "worker.log")
    started.send(f"{TASKS}:software")
    assert "result" in started.receive()  # it is up
    yield started
    started.end()


def closes(parent: Parent) -> None:
    parent.socket.close()


def dies_with_a_reply_unread(parent: Parent) -> None:
    parent.send(f"{TASKS}:software")
    parent.wait_for_reply()
    parent.socket.close()


def dies_with_a_reply_unread_while_the_worker_is_busy(parent: Parent) -> None:
    parent.load()
    parent.send(f"{TASKS}:software")
    parent.wait_for_reply()
    parent.send(f"{TASKS}:generate", prompt="", max_tokens=8)
    parent.socket.close()


def dies_with_progress_unread(parent: Parent) -> None:
    parent.load()
    parent.send(SWEPT, batch_size=2, **BATCH)
    parent.wait_for_reply()
    parent.socket.close()


def dies_with_half_a_message_sent(parent: Parent) -> None:
    parent.socket.sendall(b'{"call": "softw')
    parent.socket.close()


def dies_with_half_a_message_sent_while_the_worker_is_busy(parent: Parent) -> None:
    parent.occupy()
    parent.socket.sendall(b'{"call": "softw')
    parent.socket.close()


def sends(message: bytes) -> Callable[[Parent], None]:
    """Send a message that is no call, to a worker that is busy."""

    def send(parent: Parent) -> None:
        parent.occupy()
        parent.socket.sendall(message + b"\n")

    return send


def takes_no_reply(parent: Parent) -> None:
    parent.socket.shutdown(socket.SHUT_RD)
    parent.send(f"{TASKS}:software")


def takes_no_progress(parent: Parent) -> None:
    """The engine's first batch, before which progress is reported, takes ten minutes."""
    parent.load()
    parent.socket.shutdown(socket.SHUT_RD)
    parent.send(SWEPT, batch_size=2, **BATCH)


def asks_to_close(parent: Parent) -> None:
    parent.send("bench_deepspeed.worker.state:close")
    assert parent.receive() == {"result": None}


ENDS = {
    end.__name__: end
    for end in (
        closes,
        dies_with_a_reply_unread,
        dies_with_a_reply_unread_while_the_worker_is_busy,
        dies_with_progress_unread,
        dies_with_half_a_message_sent,
        dies_with_half_a_message_sent_while_the_worker_is_busy,
        takes_no_reply,
        takes_no_progress,
        asks_to_close,
    )
}
NO_CALLS = {
    "text": b"no JSON",
    "not UTF-8": b'{"call": "software\xff"}',
    "number": b"1",
    "list": b'["software"]',
    "no name": b"{}",
    "too deep": b"[" * 100_000,
}
ENDS |= {f"sends {name}": sends(message) for name, message in NO_CALLS.items()}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_group_ends_when_the_parent(parent, end):
    end(parent)
    wait_until(parent.group_is_gone, END_S)


def test_what_ended_the_exchange_is_in_the_log(parent):
    dies_with_half_a_message_sent(parent)
    wait_until(parent.group_is_gone, END_S)
    assert "JSONDecodeError" in parent.log()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"name": f"{TASKS}:nothing"}, f"{TASKS}:nothing is not a function at the top of a module of bench_deepspeed"),
        ({"name": "os:getcwd"}, "os:getcwd is not a function at the top of a module of bench_deepspeed"),
        ({"name": f"{TASKS}:Path"}, f"{TASKS}:Path is not a function at the top of a module of bench_deepspeed"),
        ({"name": f"{TASKS}:software", "more": 1}, "TypeError"),
        ({"name": f"{TASKS}:free_bytes", "device": 1}, "free_bytes: device: Input should be a valid string"),
        ({"name": f"{TASKS}:generate", "prompt": "", "max_tokens": 1}, "this process has loaded no engine"),
    ],
    ids=["unknown", "outside the package", "not a function", "more arguments", "another type", "no engine"],
)
def test_a_call_that_fails_is_answered_and_the_worker_goes_on(parent, call, words):
    parent.send(**call)
    assert words in parent.receive()["error"]["message"]
    parent.send(f"{TASKS}:software")
    assert "result" in parent.receive()
    assert not parent.group_is_gone()
