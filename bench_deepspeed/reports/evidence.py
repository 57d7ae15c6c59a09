"""Files of results, whatever kind they are of: told apart by what is in them, not by their names."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..ab.schema import AbResult, shared
from ..errors import UsageError, named
from ..load.records import LoadResult
from ..paths import RESULTS, ROOT
from ..quality.schema import Quality
from ..schema import Result
from ..sweep.schema import SweepResult

LOADERS: dict[str, Callable[[Path], object]] = {
    "result": Result.load,
    "quality": Quality.load,
    "sweep": SweepResult.load,
    "load": LoadResult.load,
    "ab": AbResult.load,
}
"""Kind → what reads a file of it. A new kind stands here, in `tables.ROWS` and in `html.SECTIONS`."""
Content = Result | Quality | SweepResult | LoadResult | AbResult
PUBLISHED = ("*.json", "quality/*.json", "sweeps/*.json", "loads/*.json", "ab/*.json")


@dataclass(frozen=True)
class Item:
    """One file: its kind, where it lies and the digest of its bytes, and what was read from it."""

    kind: str
    path: Path
    sha256: str
    content: Content

    @property
    def name(self) -> str:
        """Its path from here or in the checkout; of one elsewhere not the folders, which may hold a user's name."""
        path = self.path.resolve()
        for folder in (Path.cwd(), ROOT):
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return "/".join(path.parts[-2:]) if path.stem in LOADERS else path.name

    @property
    def machine(self) -> str:
        """The GPU's name on CUDA, the processor's on the CPU."""
        device = asked(self.content)["device"]
        return self.content.environment.get("gpu_used" if device == "cuda" else "cpu") or device


def asked(content: Content) -> dict:
    """What was asked for, whatever the kind: `device` is always there. Of a comparison what both sides share."""
    if isinstance(content, AbResult):
        return shared(*(dataclasses.asdict(side.scenario) for side in content.sides.values()))
    if isinstance(content, LoadResult):
        return content.scenario
    if isinstance(content, Quality):
        model = content.model
        return {"model": model["name"], "weights": model["weights"], "engine": content.engine, "device": content.device}
    return dataclasses.asdict(content.settings if isinstance(content, SweepResult) else content.scenario)


def results_in(content: Content) -> list[Result]:
    """A result itself, the two sides of a comparison; of other kinds none."""
    if isinstance(content, AbResult):
        return list(content.sides.values())
    return [content] if isinstance(content, Result) else []


def unfinished(content: Content) -> list[str]:
    """What must be said of a measurement that did not end by itself."""
    if content.status == "complete":
        return []
    return [f"{content.status}{f' ({content.error})' if content.error else ''}: not all that was asked for is here"]


def published(results: Path = RESULTS) -> list[Path]:
    """The files below docs/results/ that `report` knows; studies of the suite itself are none."""
    return [path for pattern in PUBLISHED for path in sorted(results.glob(pattern))]


def read(paths: list[Path]) -> list[Item]:
    """Read the files, each once. Raises UsageError, in one line, for the first that is none of this suite."""
    found: dict[Path, Item] = {}
    for path in paths:
        if path.resolve() not in found:
            found[path.resolve()] = _read(path)
    return list(found.values())


def _read(path: Path) -> Item:
    try:
        content = path.read_bytes()
        kind = _kind(json.loads(content))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged, or is not JSON: {error}") from error
    if kind is None:
        raise UsageError(f"{path} is not a result of this suite: there are {', '.join(LOADERS)} files")
    with named(path):
        return Item(kind, path, hashlib.sha256(content).hexdigest(), LOADERS[kind](path))


def _kind(data: object) -> str | None:
    """What its `kind` says; results, sweeps and comparisons have none, and are told by their fields."""
    if not isinstance(data, dict):
        return None
    if "kind" in data:
        return data["kind"] if data["kind"] in LOADERS else None
    fields = {"result": {"scenario", "runs"}, "sweep": {"settings", "scenarios"}, "ab": {"a", "b", "rounds"}}
    return next((kind for kind, needed in fields.items() if needed <= set(data)), None)
