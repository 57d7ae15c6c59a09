"""The real `main` in this process, in a folder of its own, with streams as it has them: ten thousand cases in minutes.

A command that measures goes as far as its first worker, which is refused: its folder, file and log are real. What
renders the documents and doctor, which take seconds, are entered and left.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from unittest import mock

from bench_deepspeed.__main__ import main
from bench_deepspeed.benchmarks.common import run_folder
from bench_deepspeed.cli.doctor import command as doctor
from bench_deepspeed.core import folder_lock, own_environment, paths, streams
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.results import documents
from bench_deepspeed.worker.client import WorkerProcess

from .judge import faults

CASE_S = 60
"""A case that takes longer has no end that a user would wait for: nothing is measured."""


STREAMS = ("stdout", "stderr")


class TooLongError(BaseException):
    """Not an Exception: nothing on the way may handle it."""


def run(argv: list[str]) -> tuple[int | None, str, str, list[str]]:
    """Run one command line. Returns its exit code, what it printed on both streams, and what is wrong with its end."""
    printed = {name: streams.HarmlessText(io.BytesIO(), "utf-8", errors="backslashreplace") for name in STREAMS}
    run_folder.opened.clear()
    code, wrong = None, []
    with mock.patch.multiple(sys, **printed):
        signal.setitimer(signal.ITIMER_REAL, CASE_S)
        try:
            code = main(argv)
        except TooLongError:
            wrong.append(f"longer than {CASE_S} s: {_place(sys.exc_info()[2])}")
        except BaseException as error:
            wrong.append(f"traceback: {error!r:.200} {_place(error.__traceback__)}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    output, errors = map(_text, printed.values())
    while folder_lock._HELD:  # the end of the process would give them back
        os.close(folder_lock._HELD.pop())
    shutil.rmtree(paths.LOGS, ignore_errors=True)
    return code, output, errors, wrong or faults(code, output, errors, exact="--json" in argv)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()


def _place(trace: object) -> str:
    """The last place of a traceback that is in the suite."""
    frames = [frame for frame in traceback.extract_tb(trace) if "bench_deepspeed" in frame.filename]
    return f"in {Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else ""


@contextmanager
def prepared() -> Iterator[Path]:
    """An empty folder to be in, and what no case of these campaigns is to do replaced."""

    def refuse(*_: object) -> None:
        raise BenchError("no worker is started here")

    def too_long(_number: int, _frame: FrameType | None) -> None:
        raise TooLongError

    signal.signal(signal.SIGALRM, too_long)
    own_environment.clean()
    os.environ["BENCH_PYTHON"] = sys.executable
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(WorkerProcess, "__enter__", refuse),
        mock.patch.object(documents, "run", lambda _options: 0),
        mock.patch.object(doctor, "run", lambda _options: 0),
    ):
        os.chdir(folder)
        yield Path(folder)
