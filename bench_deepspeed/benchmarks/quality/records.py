"""quality.json: the questions of a check, and all answers. docs/method/quality.md documents each field."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.core.json_files import read_json, write_json
from bench_deepspeed.core.text import engine_title
from bench_deepspeed.measure.records import SCHEMA_VERSION, Environment

FILE = "quality.json"


@dataclass
class Quality:
    """One check: the questions, what float32 answered, and what each engine and precision answered.

    `candidates` holds, for each precision, the engine's and the floor's answers, question by question, and
    the verdict that follows from them. `questions` is empty until the reference is there.
    """

    model: dict
    engine: str
    device: str
    reference_device: str
    environment: Environment
    system_prompt: str
    max_tokens: int
    questions: list[dict]
    started_at: str
    status: str = "running"  # then "complete", "failed" or "interrupted"
    error: str | None = None
    candidates: list[dict] = field(default_factory=list)
    kind: str = "quality"
    late_tokens: int | None = None
    """Tokens before each question at its late place; None: the other questions and answers, once."""
    tensor_parallel: int = 1
    """Ranks of the engine that is checked; reference and noise floor are of one."""
    schema_version: int = SCHEMA_VERSION

    @property
    def title(self) -> str:
        """The engine, and its ranks where there are several."""
        return engine_title(self.engine, self.tensor_parallel)

    @property
    def outside(self) -> list[str]:
        return [c["precision"] for c in self.candidates if c["verdict"]["ok"] is False]

    def save(self, path: Path) -> None:
        """Write quality.json in one step."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> Quality:
        """Read a saved check. Raises BenchError when the file is not one of this schema."""
        return read_json(cls, path, SCHEMA_VERSION, "a quality check")
