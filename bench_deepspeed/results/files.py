"""Files of results, whatever their kind, which follows from their content, not from their names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common.kind import Item, Kind
from bench_deepspeed.core.errors import UsageError, named
from bench_deepspeed.core.json_files import parse_json, read_bytes
from bench_deepspeed.core.paths import RESULTS


def published(results: Path = RESULTS) -> list[Path]:
    """The files below docs/results/ that are results of some kind; studies of the suite itself are none."""
    return [path for kind in registry.kinds() for path in published_of(kind, results)]


def published_of(kind: Kind, results: Path = RESULTS) -> list[Path]:
    """The published files of one kind, by name."""
    return sorted((results / kind.published).glob("*.json"))


def read(paths: Sequence[Path]) -> list[Item]:
    """Read the files, each once. Raises UsageError, in one line, for the first that is none of this suite."""
    items: dict[str, Item] = {}
    for path in paths:
        real = os.path.realpath(path)
        if real not in items:
            items[real] = _read(path)
    return list(items.values())


def by_kind(items: Sequence[Item]) -> list[tuple[Kind, list[Item]]]:
    """The kinds among the items, in the registry's order, each with its items."""
    groups = [(kind, [item for item in items if item.kind is kind]) for kind in registry.kinds()]
    return [(kind, members) for kind, members in groups if members]


def _read(path: Path) -> Item:
    with named(path):
        content = read_bytes(path)
        kind = registry.kind_of(parse_json(content, path))
        if kind is None:
            raise UsageError(f"{path} is not a result of this suite: there are {', '.join(registry.KINDS)} files")
        return Item(kind, path, hashlib.sha256(content).hexdigest(), kind.load(path))
