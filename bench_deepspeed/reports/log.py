"""The readable log: written line by line as things happen, so that a kill loses nothing."""

from __future__ import annotations

import contextlib
import datetime
import json
from pathlib import Path

from ..errors import MachineError
from ..schema import Result, Run, Sample
from ..stats import summarize
from .console import remarks
from .rows import NOT_MEASURED, mean_std


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

    def loaded(self, run: Run) -> None:
        built = f", kernels built in {run.kernel_build_s:.1f} s" if run.kernel_build_s else ""
        self.line(f"engine loaded in {run.load_s:.1f} s{built}")

    def sample(self, kind: str, number: int, of: int, sample: Sample) -> None:
        self.line(
            f"{kind} {number}/{of}: {sample.prompt_tokens} + {sample.new_tokens} tokens "
            f"in {sample.seconds:.6f} s = {sample.tokens_per_s:.3f} tokens/s"
        )

    def closing(self, result: Result) -> None:
        run = result.runs[-1]
        for part, size in (run.memory or {}).items():
            self.line(f"memory {part}: {NOT_MEASURED if size is None else size}")
        speed = summarize([sample.tokens_per_s for sample in result.valid_samples])
        scenario = result.scenario
        n = speed.n if speed else 0
        self.line(
            f"result {scenario.model} {scenario.engine} {scenario.device} {scenario.precision}: "
            f"{mean_std(speed)} tokens/s (mean ± sample std, n = {n})"
        )
        for remark in remarks(result):
            self.line(f"remark {remark}")
