"""The data of a comparison, and the ab.json that it is kept in. Samples are stored, the verdict is derived."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.json_files import read_json, write_json
from bench_deepspeed.measure.records import Environment, Result

SCHEMA_VERSION = 1
FILE = "ab.json"
SUBFOLDER = "ab"
WHAT = "a comparison (ab)"
SIDES = "AB"


@dataclass(frozen=True)
class Round:
    """One timed generation of each: the k-th round of a pair holds the k-th sample of both runs."""

    order: str
    """ "AB": A was first; or "BA"."""
    idle_cpus: dict[str, float | None]
    """CPUs that each side kept busy while the other was timed; None where that was too short to measure."""


@dataclass
class AbResult:
    """Two configurations. The k-th runs of `a` and `b` are the k-th pair of processes."""

    a: Result
    b: Result
    asked: dict[str, dict[str, str]]
    """Side → what the user requested, key by key."""
    status: str = "running"  # then "complete", "failed" or "interrupted"
    error: str | None = None
    started_at: str = ""
    stopped: str | None = None
    """Why no further pair was measured, in words."""
    rounds: list[list[Round]] = field(default_factory=list)
    """Of each pair."""
    warnings: list[dict] = field(default_factory=list)
    detect: float | None = None
    """The share by which B is faster that `--detect` requests."""
    schema_version: int = SCHEMA_VERSION

    @property
    def sides(self) -> dict[str, Result]:
        return {"A": self.a, "B": self.b}

    @property
    def environment(self) -> Environment:
        """The facts that are equal in the environments of both sides."""
        return shared(self.a.environment, self.b.environment)

    def save(self, path: Path) -> None:
        """Write the JSON in one step; the sides are as far as the whole."""
        for side in self.sides.values():
            side.status, side.error = self.status, self.error
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> AbResult:
        """Read a saved comparison. Raises BenchError when the file is not one of this schema."""
        result = read_json(cls, path, SCHEMA_VERSION, WHAT)
        for side in result.sides.values():
            side.require_times(path, WHAT)
        rounds = [[len(run.samples) for run in side.runs] for side in result.sides.values()]
        if rounds[0] != rounds[1]:
            raise BenchError(f"{path} is not {WHAT} of this suite: a round lacks one of its two samples")
        return result


def shared(a: Environment, b: Environment) -> Environment:
    """The facts that are equal in both; of the packages, those in the same version."""
    alike = {name: value for name, value in vars(a).items() if value == getattr(b, name)}
    if a.packages is not None and b.packages is not None:
        alike["packages"] = dict(a.packages.items() & b.packages.items())
    return Environment(**alike)
