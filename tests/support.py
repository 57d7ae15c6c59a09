"""bench.sh as users run it, an engine of known latency, and waiting without a guess."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import psutil

from bench_deepspeed.__main__ import run

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench_deepspeed" / "bench.sh"
MARKER = "BENCH_TEST_MARKER"
DEADLINE_S = 120  # of a wait for something that takes seconds: only a hang reaches it


def no_progress(label: str, done: int, total: int) -> None:
    """A `Progress` that nobody watches."""


def wait_until(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> object:
    """Poll until the condition holds, and return what it returned."""
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {deadline_s} s in vain"
        time.sleep(0.02)
    return value


class Refusals:
    """What is expected of a refused command line, however it is run."""

    def refusal(self, code: int, *arguments: str | Path, **options) -> str:
        """Run what must be refused before anything starts: one line on stderr, which is returned."""
        done = self(*arguments, **options)
        assert done.returncode == code, done
        assert done.stdout == "", done
        return self.one_error(done)

    @staticmethod
    def one_error(done: subprocess.CompletedProcess) -> str:
        """The message of a process whose whole stderr is one error line."""
        assert done.stderr.endswith("\n"), done
        assert done.stderr.count("\n") == 1, done.stderr
        return error_of(done.stderr)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """The block runs in that folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class InProcess(Refusals):
    """A command line run in this process: for commands that start no process of their own."""

    def __init__(self, cwd: Path):
        self.cwd = cwd

    def __call__(
        self, *arguments: str | Path, env: dict | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess:
        """Run it to its end."""
        argv = list(map(str, arguments))
        output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with (
            _inside(cwd or self.cwd),
            mock.patch.dict(os.environ, {"BENCH_PYTHON": sys.executable, **(env or {})}),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            try:
                code = run(argv)
            except SystemExit as end:  # how argparse ends after the help
                code = end.code
        for stream in (output, errors):
            stream.flush()
        return subprocess.CompletedProcess(argv, code, *(s.buffer.getvalue().decode() for s in (output, errors)))


@dataclass
class Bench(Refusals):
    """bench.sh as a real process, in a folder of the test's own, on the Python that runs the tests."""

    cwd: Path
    script: Path = BENCH
    marker: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: list[subprocess.Popen] = field(default_factory=list)

    def start(self, *arguments: str | Path, env: dict | None = None, cwd: Path | None = None) -> subprocess.Popen:
        """Start it and do not wait."""
        process = subprocess.Popen(
            [str(self.script), *map(str, arguments)],
            env={**os.environ, "BENCH_PYTHON": sys.executable, MARKER: self.marker, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd or self.cwd,
        )
        self.started.append(process)
        return process

    def __call__(self, *arguments: str | Path, **options) -> subprocess.CompletedProcess:
        """Run it to its end."""
        return self.finish(self.start(*arguments, **options))

    def fake(self, *arguments: str | Path, behaviour: dict | None = None, **options) -> subprocess.CompletedProcess:
        """Run the fake engine to its end. `behaviour` is what BENCH_FAKE tells it."""
        return self.finish(self.start_fake(*arguments, behaviour=behaviour, **options))

    def start_fake(self, *arguments: str | Path, behaviour: dict | None = None, **options) -> subprocess.Popen:
        """Start the fake engine, one process and its results below `out` unless told else, and do not wait."""
        env = {"BENCH_FAKE": json.dumps(behaviour or {}), **options.pop("env", {})}
        flags = ("-d", "cpu", "--engine", "fake", "--processes", "1", "--output_dir", "out")
        return self.start(*flags, *arguments, env=env, **options)

    @staticmethod
    def finish(process: subprocess.Popen) -> subprocess.CompletedProcess:
        """Wait for the end of what `start` started."""
        output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def processes(self) -> list[psutil.Process]:
        """All that descends from what this test started and still runs, whoever its parent is by now."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARKER) == self.marker
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def error_of(stderr: str) -> str:
    """The message of the last line of stderr, which must be the only error line there."""
    assert "Traceback" not in stderr
    errors = [line for line in stderr.splitlines() if line.startswith("bench.sh: error: ")]
    assert errors == stderr.splitlines()[-1:], stderr
    return errors[0].removeprefix("bench.sh: error: ")


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of five words, two of which are "deep" and "speed"."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["<unk>", "<s>", "</s>", "deep", "speed"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(folder)
