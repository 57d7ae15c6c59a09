"""Files of results, whatever kind they are of: told apart by what is in them, not by their names."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.benchmarks.registry import LOADERS, Content, _kind, asked
from bench_deepspeed.core.errors import UsageError, named
from bench_deepspeed.core.paths import RESULTS, ROOT

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


def published(results: Path = RESULTS) -> list[Path]:
    """The files below docs/results/ that `report` knows; studies of the suite itself are none."""
    return [path for pattern in PUBLISHED for path in sorted(results.glob(pattern))]


def read(paths: list[Path]) -> list[Item]:
    """Read the files, each once. Raises UsageError, in one line, for the first that is none of this suite."""
    found: dict[str, Item] = {}
    for path in paths:
        real = os.path.realpath(path)
        if real not in found:
            found[real] = _read(path)
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
