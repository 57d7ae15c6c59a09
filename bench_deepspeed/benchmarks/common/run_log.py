"""The readable log: written line by line as things happen, so that a kill loses nothing."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.text import harmless
from bench_deepspeed.measure.records import Sample
from bench_deepspeed.worker.tasks import Loaded


class Log:
    """An open log. Raises OSError when the file cannot be opened for appending."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", errors="backslashreplace")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # `line` has raised for what could not be written
            self._file.close()

    def line(self, text: str) -> None:
        """Write a line with the time, UTC, in front. Raises MachineError when it cannot be written."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            self._file.write(f"{now} {harmless(text)}\n")
            self._file.flush()
        except OSError as error:
            raise MachineError(f"cannot write the log {self.path}: {error.strerror}") from error


def facts(title: str, values: Mapping[str, object]) -> Iterator[str]:
    """One line a setting, or a fact of the environment, its value as JSON."""
    for name, value in values.items():
        yield f"{title} {name}: {json.dumps(value, ensure_ascii=False)}"


def loaded(which: str, times: Loaded) -> str:
    """How long an engine took to load."""
    built = f", kernels built in {times.kernel_build_s:.1f} s" if times.kernel_build_s else ""
    compiled = f", compiled in {times.compile_s:.1f} s" if times.compile_s is not None else ""
    return f"{which}: engine loaded in {times.load_s:.1f} s{built}{compiled}"


def generated(which: str, number: int, total: int | None, sample: Sample) -> str:
    """One timed generation; `total` is None where the number of generations is not fixed."""
    numbered = f"{which} {number}" + (f"/{total}" if total else "")
    return (
        f"{numbered}: {sample.prompt_tokens} + {sample.new_tokens} tokens "
        f"in {sample.seconds:.6f} s = {sample.tokens_per_s:.3f} tokens/s"
    )
