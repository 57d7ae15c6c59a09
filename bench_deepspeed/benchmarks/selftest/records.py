"""The data of a self-test, and the selftest.json that it is kept in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.core.json_files import read_json, write_json
from bench_deepspeed.measure.records import SCHEMA_VERSION, Environment

FILE = "selftest.json"
NESTED = "nested"
"""The end of the name of a comparison whose blocks hold one time of each clock."""
INTERLEAVED = "interleaved"
"""The end of the name of one whose blocks hold separate generations of both."""


@dataclass(frozen=True)
class TimedBlock:
    """Times of the suite and of the bare loop, in seconds, each in the order in which they were taken."""

    harness_s: list[float]
    bare_s: list[float]


@dataclass(frozen=True)
class ClockComparison:
    """One kind of generation, timed both ways: `harness_s` and `bare_s` hold two times a block, nested one, in order.

    `ratio` is the harness's tokens/s over the bare loop's: the median over the blocks, with its
    interval, None where the blocks were too few for one.
    """

    name: str
    asked_s: float | None
    harness_s: list[float]
    bare_s: list[float]
    ratio: float
    low: float | None
    high: float | None
    verdict: str  # "pass", "fail" or "not shown"

    @property
    def title(self) -> str:
        """The name as it is shown; files of older versions say "in turn"."""
        return self.name.replace(", in turn", f", {INTERLEAVED}")

    @property
    def outcome(self) -> str:
        """The verdict as it is shown."""
        return "inconclusive" if self.verdict == "not shown" else self.verdict


@dataclass
class SelfTest:
    """One self-test: what was generated where, and its comparisons in the order they were made.

    `limit` is the suite's share of a time, at most; `confidence` that of all intervals together.
    """

    started_at: str
    scenario: dict
    prompt: str
    max_tokens: int
    limit: float
    confidence: float
    environment: Environment = field(default_factory=Environment)
    comparisons: list[ClockComparison] = field(default_factory=list)
    status: str = "complete"  # of files without one, which were written at the end; else as in `measure.records.Result`
    error: str | None = None
    kind: str = "selftest"
    schema_version: int = SCHEMA_VERSION

    def save(self, path: Path) -> None:
        """Write selftest.json in one step."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> SelfTest:
        """Read a saved self-test. Raises BenchError when the file is not one of this schema."""
        return read_json(cls, path, SCHEMA_VERSION, "a self-test")
