"""A process that runs functions of this package, from its parent's side."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

import psutil

from bench_deepspeed.core import signals
from bench_deepspeed.core.errors import BY_NAME, BenchError
from bench_deepspeed.core.paths import ROOT
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.core.text import one_line

from . import messages
from .state import Worker, close

if TYPE_CHECKING:
    from typing_extensions import Self

P = ParamSpec("P")
R = TypeVar("R")

LAUNCHER = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
END_BYTES, SHOWN = 4096, 200
"""Of a log: how much of its end is read for the last words, and how many characters of these are shown."""
CLOSE_S = 20  # a worker that has not ended by itself after this is killed; freeing a GPU takes a few seconds


@dataclass(frozen=True)
class Pending(Generic[R]):
    """A call that a worker is busy with."""

    result: Callable[[], R]
    """Waits for what the function returns. Raises as `Process.call` does."""


@dataclass(frozen=True)
class Rank:
    """One of `size` processes that compute together, numbered from 0."""

    number: int
    size: int

    def __str__(self) -> str:
        return f"rank {self.number} of {self.size}"


class Process:
    """A worker and all that it starts; a context manager that leaves none of them behind.

    Its output, and that of every library in it, goes to `log`. `python` runs it, this process's own where none is
    named; `variables` are added to its environment. Once a signal came, to start it or to call it raises
    KeyboardInterrupt.
    """

    rank: Rank | None = None
    """Which rank it is, where several processes compute together."""

    def __init__(self, log: Path, progress: Progress, python: str | None = None, **variables: str):
        self._python = python or sys.executable
        self._variables = variables
        self._log = log
        self._progress = progress

    def __enter__(self) -> Self:
        signals.check()
        ours, theirs = socket.socketpair()
        with theirs, self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._python, "-m", "bench_deepspeed.worker.server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Its own session, so that Ctrl-C reaches this process only, which then ends the group.
                start_new_session=True,
                env=_environment(self._variables),
            )
        signals.at_once.append(self._kill_all)
        self._socket = ours
        self._stream = ours.makefile("rw", encoding="utf-8")
        return self

    @property
    def log_folder(self) -> Path:
        """Where the engine's own logs go: the folder of the worker's log."""
        return self._log.parent.absolute()

    def call(self, function: Callable[Concatenate[Worker, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Have the worker call a function of this package with these arguments behind the worker; see `messages`.

        Returns what the function returned. Raises the error that it raised, or BenchError when the worker died.
        """
        return self.send(function, *args, **kwargs).result()

    def send(self, function: Callable[Concatenate[Worker, P], R], *args: P.args, **kwargs: P.kwargs) -> Pending[R]:
        """Have the worker call a function while this process goes on. Send nothing else before the result is read."""
        signals.check()
        message = {
            "call": messages.name_of(function),
            "arguments": messages.encode_arguments(function, args, kwargs),
        }
        with contextlib.suppress(ConnectionError):  # it died between two calls: `receive` reports it
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()
        return Pending(lambda: messages.decode_result(function, self.receive()))

    def receive(self) -> Any:
        """Wait for the result of what was sent first, in JSON. Raises as `call` does."""
        try:
            for line in self._stream:
                message = json.loads(line)
                if "progress" in message:
                    self._progress(*message["progress"])
                    continue
                if "error" in message:
                    self._raise(messages.Failure(**message["error"]))
                return message["result"]
        except ConnectionError:
            pass  # reported below, as when the stream just ends
        raise BenchError(self._exit_reason())

    def cpu_s(self) -> float:
        """CPU seconds that the worker and all below it have used, those of children that ended included."""
        seconds = 0.0
        for process in _descendants(self._process.pid):
            with contextlib.suppress(psutil.Error):  # it has just ended
                seconds += sum(process.cpu_times()[:4])
        return seconds

    def _raise(self, failure: messages.Failure) -> None:
        where = f" (all of it: {self._log})" if failure.foreign else ""
        raise BY_NAME[failure.type](failure.message + where)

    def _exit_reason(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            how = "was killed, most often for lack of memory"
        elif code == -signal.SIGXCPU:
            how = "reached the limit of CPU time (ulimit -t)"
        else:
            how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if self.rank is None:
            return f"the engine's process {how} (its output: {self._log})"
        shell = code if code >= 0 else 128 - code
        last = _last_words(self._log)
        return f"{self.rank} {how}; exit code {shell}, last words: {last!r} (its output: {self._log})"

    def __exit__(
        self, error_type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        descendants = _descendants(self._process.pid)
        try:
            if error_type is None:
                self._close()
        finally:
            self._kill(descendants)
            signals.at_once.remove(self._kill_all)

    def _close(self) -> None:
        """Have the worker end by itself. Where it does not, everything is measured and saved: it is killed."""
        with contextlib.suppress(BenchError, OSError, subprocess.TimeoutExpired):
            self._socket.settimeout(CLOSE_S)  # closing an engine may hang as well as fail
            self.call(close)
            self._process.wait(CLOSE_S)

    def _kill(self, descendants: list[psutil.Process]) -> None:
        """End the worker and all that it started: those below it now, and those that were before it closed."""
        self._kill_all(descendants)
        self._process.wait()
        with contextlib.suppress(OSError):  # what a dead worker did not take is flushed once more
            self._stream.close()
        self._socket.close()

    def _kill_all(self, descendants: Iterable[psutil.Process] = ()) -> None:
        """Send SIGKILL to these, to the worker, and to all below it now."""
        below = {*descendants, *_descendants(self._process.pid)}
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # Its whole session: a child whose own parent died is nobody's descendant any more.
            os.killpg(self._process.pid, signal.SIGKILL)
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _environment(variables: dict[str, str]) -> dict[str, str]:
    """The worker's environment: ours, without the ranks and ports that a launcher such as torchrun sets, which
    MII and DeepSpeed would use; with `variables`, and with the suite on Python's path in any case."""
    kept = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
    merged = {**kept, "TOKENIZERS_PARALLELISM": "false", **variables}
    return {**merged, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), merged.get("PYTHONPATH")]))}


def _descendants(pid: int) -> list[psutil.Process]:
    """The process and everything below it."""
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def _last_words(log: Path) -> str:
    """The last line that a process has written, shortened; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(-min(END_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return one_line(next((line for line in reversed(lines) if line.strip()), ""))[:SHOWN]
