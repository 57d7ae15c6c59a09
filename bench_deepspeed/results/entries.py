"""A saved run as one entry of the list, whatever command wrote it; also one that cannot be read any more."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common.kind import Content, Kind, machine_of
from bench_deepspeed.core.errors import BenchError, ImpossibleError, named
from bench_deepspeed.core.folder_lock import unheld
from bench_deepspeed.core.json_files import validated
from bench_deepspeed.measure.speed import speed_interval
from bench_deepspeed.measure.statistics import Interval

from .find import SavedRun

IMPOSSIBLE = "impossible"


@dataclass(frozen=True)
class Entry:
    """One run in the list. `speed` is a cell: of what is no single speed, how much there is of it."""

    id: str
    folder: Path
    kind: str
    started: datetime.datetime
    status: str
    models: list[str] = field(default_factory=list)
    weights: str = ""
    engines: list[str] = field(default_factory=list)
    tensor_parallel: list[int] = field(default_factory=list)
    precisions: list[str] = field(default_factory=list)
    device: str = ""
    speed: str = ""
    interval: Interval | None = None
    warnings: list[str] = field(default_factory=list)
    commit: str | None = None
    error: str | None = None


def read_entry(run: SavedRun) -> Entry:
    """Read one run. What cannot be read is an entry too, with the reason as its error."""
    facts = {"id": run.id, "folder": run.folder, "kind": run.kind, "started": run.named_at}
    path = run.files[run.kind]
    try:
        with named(path):
            kind = registry.kind(run.kind)
            return _read(run, facts, kind, kind.load(path))
    except BenchError as error:
        return Entry(**facts, status="unreadable", error=" ".join(str(error).split()))


def _read(run: SavedRun, facts: dict, kind: Kind, content: Content) -> Entry:
    """The entry of a file's content. Raises BenchError where a field is not of its type."""
    subject, results = kind.subject(content), kind.results(content)
    possible = _is_possible(kind, content)
    status = content.status
    facts = facts | {
        "started": _time(subject.started_at, run.named_at),
        "status": "killed" if status == "running" and not is_held(run.folder) else status,
        "models": list(subject.models),
        "weights": subject.weights,
        "engines": list(subject.engines),
        "tensor_parallel": list(subject.tensor_parallel),
        "precisions": list(subject.precisions),
        "device": machine_of(content.environment, subject.device),
        "speed": kind.headline(content) if possible else IMPOSSIBLE,
        "interval": speed_interval(results[0]) if possible and len(results) == 1 else None,
        "warnings": list(kind.warnings(content)),
        "commit": content.environment.commit,
        "error": content.error,
    }
    return validated(Entry, facts)


def _is_possible(kind: Kind, content: Content) -> bool:
    """Whether no generation is faster than the device's limits; one that is, is never shown as a speed."""
    try:
        kind.require_possible(content)
    except ImpossibleError:
        return False
    return True


def is_held(folder: Path) -> bool:
    """Whether a process of this machine has locked the folder, whatever the status in its file."""
    try:
        with unheld(folder) as free:
            return not free
    except OSError:
        return True  # not ours to open: leave it alone


def _time(started_at: str, named_at: datetime.datetime) -> datetime.datetime:
    """When it was last started, which may be long after its folder was named; without that, the folder's time."""
    try:
        time = datetime.datetime.fromisoformat(started_at)
    except ValueError:
        return named_at
    return time if time.tzinfo else named_at
