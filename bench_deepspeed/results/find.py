"""Where saved runs lie: only folders that the suite wrote, and none that a symbolic link leads to.

Needs the standard library only: to say that there are none, nothing has to be installed.
"""

from __future__ import annotations

import datetime
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.core.errors import MachineError


@dataclass(frozen=True)
class SavedRun:
    """A run's folder, its `files` by kind, and `named_at`, the time in its name: when it was first started.

    A folder with several files is of the first kind: a run's answers are checked in its folder.
    """

    id: str
    folder: Path
    files: dict[str, Path]
    named_at: datetime.datetime

    @property
    def kind(self) -> str:
        return next(iter(self.files))


def folders(root: Path) -> list[SavedRun]:
    """The folders below `root` that are named and placed as the suite does, and hold a file of a run; oldest first.

    These are <model>/<time>, <model>/load/<time>, <model>/ab/<time>, selftest/<time> and referee/<time>. Raises
    MachineError where `root` is there and cannot be read.
    """
    try:
        parents = _below(root)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MachineError(f"cannot read {root}: {error.strerror}") from error
    below = dict.fromkeys(["", *(kind.subfolder for kind in registry.kinds())])
    places = [parent / name for parent in parents for name in below if _is(stat.S_ISDIR, parent / name)]
    runs = [_saved_run(root, folder) for place in places for folder in _readable(place)]
    return sorted(filter(None, runs), key=lambda run: (run.named_at, run.id))


def _saved_run(root: Path, folder: Path) -> SavedRun | None:
    named_at = _time_of(folder.name)
    places = {kind.name: folder / kind.file for kind in registry.kinds()}
    files = {name: path for name, path in places.items() if _is(stat.S_ISREG, path)}
    return SavedRun(folder.relative_to(root).as_posix(), folder, files, named_at) if named_at and files else None


def _time_of(name: str) -> datetime.datetime | None:
    """The time that a folder is named by; a second run of one second has .1 behind it."""
    time, _, number = name.partition(".")
    try:
        parsed = datetime.datetime.strptime(time, "%Y-%m-%dT%H-%M-%S")
    except ValueError:
        return None
    return parsed.replace(tzinfo=datetime.timezone.utc) if name == time or number.isdigit() else None


def _below(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [folder / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _readable(folder: Path) -> list[Path]:
    try:
        return _below(folder)
    except OSError:  # somebody else's, or gone meanwhile
        return []


def _is(kind, path: Path) -> bool:
    """Whether a path itself, not what it links to, is of a kind."""
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False
