"""The processes of one run: the server on a CPU of its own, and the tool on the others."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench_deepspeed.core import signals
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.paths import ROOT
from bench_deepspeed.core.text import one_line

from .log import Log
from .schedule import Behaviour

SERVE = "bench_deepspeed.benchmarks.referee.serve"
OUTPUT = "output.log"
READINGS = 3
SHOWN = 200
"""Characters of a tool's last words that an error repeats."""


def split_cpus() -> tuple[list[int], list[int]]:
    """The CPUs of the server and of the tools: one, and the others; the same one where there is no other."""
    first, *others = sorted(os.sched_getaffinity(0))
    return [first], others or [first]


class ServerProcess:
    """A context manager of a server in a process of its own. `hear` gets what it reports, see `server.Server`."""

    def __init__(self, behaviour: Behaviour, seed: int, folder: Path, cpus: Iterable[int], hear: Callable[[str], None]):
        self._file = folder / "server.json"
        self._command = [sys.executable, "-m", SERVE, json.dumps(vars(behaviour)), str(seed), "0", str(self._file)]
        self._cpus, self._hear = cpus, hear

    def __enter__(self) -> ServerProcess:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        signals.at_once.append(self._process.kill)
        os.sched_setaffinity(self._process.pid, self._cpus)
        assert self._process.stdout is not None
        port = self._process.stdout.readline()
        if not port:
            raise BenchError(f"the server did not start: it ended with code {self._process.wait()}")
        self.port = int(port)
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        return self

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._hear(line.strip())

    def log(self) -> Log:
        """End it and return its log. Raises BenchError where it left none."""
        self._end()
        return Log.load(self._file)

    def _end(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        self._listening.join()

    def __exit__(self, *_) -> None:
        self._end()
        signals.at_once.remove(self._process.kill)


@dataclass(frozen=True)
class Ended:
    """How a tool's process ended; `last_words` is the last line of its output."""

    code: int
    seconds: float
    cpu_total_s: float
    last_words: str


class ToolProcess:
    """One run of a tool: all its processes are in a group of their own, and are ended with it."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str], timeout_s: float):
        self._command, self._folder, self._timeout_s = command, folder, timeout_s
        self._environment = {**_inherited(), **environment, "HOME": str(folder)}
        self._process: psutil.Popen | None = None

    def run(self) -> Ended:
        """Run it to its end. Raises BenchError for one that does not come to it in time."""
        started_s, cpu_s = time.monotonic(), _children_s()
        with (self._folder / OUTPUT).open("wb") as output:
            self._process = psutil.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
            )
        signals.at_once.append(self._kill)
        try:
            code = self._process.wait(self._timeout_s)
        except psutil.TimeoutExpired:
            raise BenchError(f"no end within {self._timeout_s:g} s: {self._last_words()}") from None
        finally:
            self._kill()
            signals.at_once.remove(self._kill)
        return Ended(code, time.monotonic() - started_s, _children_s() - cpu_s, self._last_words())

    def cpu_s(self) -> float | None:
        """CPU seconds of its processes so far, those that have ended included; None where it has ended itself."""
        for _ in range(READINGS):  # one of them may end meanwhile
            with contextlib.suppress(psutil.Error, AttributeError):
                tree = [self._process, *self._process.children(recursive=True)]
                return sum(sum(process.cpu_times()[:4]) for process in tree)
        return None

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _last_words(self) -> str:
        lines = (self._folder / OUTPUT).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return one_line(lines[-1])[:SHOWN] if lines else "no output"


def _inherited() -> dict[str, str]:
    """This environment without what is meant for this Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _children_s() -> float:
    """CPU seconds of processes that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
