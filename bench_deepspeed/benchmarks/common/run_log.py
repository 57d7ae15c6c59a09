"""The readable log: written line by line as things happen, so that a kill loses nothing."""

from __future__ import annotations

import contextlib
import datetime
import json
from pathlib import Path

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.measure.records import Result, Run, Sample


class Log:
    """An open log. Raises OSError when the file cannot be opened for appending."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what could not be written was told by line()
            self._file.close()

    def line(self, text: str) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            self._file.write(f"{now} {text}\n")
            self._file.flush()
        except OSError as error:
            raise MachineError(f"cannot write the log {self.path}: {error.strerror}") from error

    def opening(self, result: Result) -> None:
        for title, facts in (("setting", vars(result.scenario)), ("environment", result.environment)):
            for name, value in facts.items():
                self.line(f"{title} {name}: {json.dumps(value, ensure_ascii=False)}")

    def loaded(self, process: str, run: Run) -> None:
        built = f", kernels built in {run.kernel_build_s:.1f} s" if run.kernel_build_s else ""
        compiled = f", compiled in {run.compile_s:.1f} s" if run.compile_s is not None else ""
        self.line(f"{process}: engine loaded in {run.load_s:.1f} s{built}{compiled}")

    def sample(self, kind: str, number: int, of: int | None, sample: Sample) -> None:
        """One line a generation; `of` is None where nobody knows yet how many there will be."""
        which = f"{kind} {number}" + (f"/{of}" if of else "")
        self.line(
            f"{which}: {sample.prompt_tokens} + {sample.new_tokens} tokens "
            f"in {sample.seconds:.6f} s = {sample.tokens_per_s:.3f} tokens/s"
        )
