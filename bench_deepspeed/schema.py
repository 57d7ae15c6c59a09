"""The data of a benchmark, and the JSON it is kept in.

Raw samples are stored; every statistic is derived from them. `None` means "not measured". Units are in
the names: `_s` seconds, `_bytes` bytes. `docs/methodology.md` documents each field.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from .errors import BenchError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Scenario:
    """What is measured, complete before anything starts."""

    model: str
    engine: str
    device: str
    precision: str
    weights: str
    prompt: str
    max_tokens: int
    repetitions: int
    warmups: int
    seed: int


@dataclass(frozen=True)
class Sample:
    """One timed generation: wall time from text in to text out, and the tokens the engine counted."""

    seconds: float
    prompt_tokens: int
    new_tokens: int

    @property
    def tokens_per_s(self) -> float:
        return self.new_tokens / self.seconds

    def is_void(self, scenario: Scenario) -> bool:
        """A run that made another number of tokens measured something else: it is never averaged in."""
        return self.new_tokens != scenario.max_tokens


@dataclass
class Run:
    """One process: its load time, its warm-ups and its repetitions, in the order they happened."""

    load_s: float | None = None
    kernel_build_s: float | None = None
    warmups: list[Sample] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    memory: dict[str, int | None] | None = None


@dataclass
class Result:
    """One benchmark: a scenario, where and with what it ran, and what was measured."""

    scenario: Scenario
    status: str = "running"  # then "complete", "failed" or "interrupted"
    error: str | None = None
    started_at: str = ""
    model: dict = field(default_factory=dict)
    engine: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    @property
    def valid_samples(self) -> list[Sample]:
        return [s for run in self.runs for s in run.samples if not s.is_void(self.scenario)]

    @property
    def void_count(self) -> int:
        return sum(s.is_void(self.scenario) for run in self.runs for s in run.samples)

    def save(self, path: Path) -> None:
        """Write the JSON in one step, so that a kill leaves the old file or the new one, whole."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read a saved result. Raises BenchError when the file is not one of this schema."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {data['schema_version']}, expected {SCHEMA_VERSION}")
            data["scenario"] = Scenario(**data["scenario"])
            data["runs"] = [_run(run) for run in data["runs"]]
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchError(f"{path} is not a result of this suite: {error}") from error


def _run(data: dict) -> Run:
    samples = {key: [Sample(**s) for s in data[key]] for key in ("warmups", "samples")}
    return Run(**{**data, **samples})


def write_json(path: Path, data: dict) -> None:
    """Replace a JSON file's content in one step."""
    write_atomically(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content in one step."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
