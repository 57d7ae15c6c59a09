"""The parent's side of a worker process."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from bench_deepspeed.core.errors import BY_NAME, BenchError
from bench_deepspeed.core.paths import ROOT
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.core.progress_bars import note_once
from bench_deepspeed.engines import engine_class
from bench_deepspeed.weights import Want

LAUNCHER = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
CLOSE_S = 20  # a worker that has not ended by itself after this is killed; freeing a GPU takes a few seconds


class WorkerProcess:
    """A worker and all that it starts; a context manager that leaves none of them behind.

    Its output, and that of every library in it, goes to `log`. `python` runs it, this process's own where none is
    named; `variables` are added to its environment.
    """

    def __init__(self, log: Path, progress: Progress, python: str | None = None, **variables: str):
        self._python = python or sys.executable
        self._variables = variables
        self._log = log
        self._progress = progress

    def __enter__(self) -> WorkerProcess:
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
        self._socket = ours
        self._stream = ours.makefile("rw")
        return self

    def call(self, name: str, **arguments):
        """Have the worker do something, and return its result.

        Raises the error that it raised, or BenchError when it died.
        """
        self.send(name, **arguments)
        return self.receive()

    def send(self, name: str, **arguments) -> None:
        """Have the worker do something while this process goes on; `receive` waits for it."""
        with contextlib.suppress(ConnectionError):  # it died between two calls: `receive` tells
            self._stream.write(json.dumps({"call": name, **arguments}) + "\n")
            self._stream.flush()

    def receive(self):
        """The result of what was sent. Raises as `call` does."""
        try:
            for line in self._stream:
                message = json.loads(line)
                if "progress" in message:
                    self._progress(*message["progress"])
                    continue
                if "error" in message:
                    self._raise(message["error"])
                return message["result"]
        except ConnectionError:
            pass  # told below, as when the stream just ends
        raise BenchError(self._obituary())

    def prepare(self, models_dir: Path, model: str, want: Want) -> dict:
        """Have the weights made ready; see `weights.prepare`."""
        where = str(models_dir.absolute())
        return self.call("prepare", models_dir=where, model=model, want=dataclasses.asdict(want))

    def load(self, engine: str, folder: str, **settings) -> dict:
        """Have an engine loaded from a model's folder; `settings` are the other fields of `engines.base.Load`."""
        self.send_load(engine, folder, **settings)
        return self.receive()

    def send_load(self, engine: str, folder: str, **settings) -> None:
        """Have an engine loaded while this process goes on; `receive` returns what `load` does.

        Says on stderr what the engine opens to other machines.
        """
        if listens := engine_class(engine).listens:
            note_once(listens)
        self.send("load", engine=engine, load=self.load_fields(folder, **settings))

    def load_fields(self, folder: str, **settings) -> dict:
        """An `engines.base.Load` as it travels; its logs go beside the worker's."""
        return {"folder": folder, "log_folder": str(self._log.parent.absolute()), **settings}

    def cpu_s(self) -> float:
        """CPU seconds that the worker and all below it have used, those of children that ended included."""
        seconds = 0.0
        for process in _descendants(self._process.pid):
            with contextlib.suppress(psutil.Error):  # it has just ended
                seconds += sum(process.cpu_times()[:4])
        return seconds

    def _raise(self, error: dict) -> None:
        where = f" (all of it: {self._log})" if error.get("foreign") else ""
        raise BY_NAME[error["type"]](error["message"] + where)

    def _obituary(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            how = "was killed, most often for want of memory"
        else:
            how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"the engine's process {how} (its output: {self._log})"

    def __exit__(self, error_type, *_) -> None:
        descendants = _descendants(self._process.pid)
        if error_type is None:
            try:
                self._socket.settimeout(CLOSE_S)  # closing an engine may hang as well as fail
                self.call("close")
                self._process.wait(CLOSE_S)
            except (BenchError, OSError, subprocess.TimeoutExpired):
                pass  # everything is measured and saved; the kill below does what closing did not
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # Its whole session: a child whose own parent died is nobody's descendant any more.
            os.killpg(self._process.pid, signal.SIGKILL)
        for process in {*descendants, *_descendants(self._process.pid)}:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._process.wait()
        with contextlib.suppress(OSError):  # what a dead worker did not take is flushed once more
            self._stream.close()
        self._socket.close()


def _environment(variables: dict[str, str]) -> dict[str, str]:
    """The worker's environment: ours, without what a launcher such as torchrun says of ranks and ports, which
    MII and DeepSpeed would take for theirs; with `variables`, and the suite on Python's path whatever these say."""
    kept = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
    found = {**kept, "TOKENIZERS_PARALLELISM": "false", **variables}
    return {**found, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), found.get("PYTHONPATH")]))}


def _descendants(pid: int) -> list[psutil.Process]:
    """The process and everything below it."""
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []
