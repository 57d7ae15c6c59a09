"""Deleting old runs: by default it only lists what would be deleted; never one that may still be running.

Only folders that `find` lists are considered, and of these only those that could be read: what is not known
to be a run is not deleted.
"""

from __future__ import annotations

import datetime
import shutil
import time
from pathlib import Path

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.folder_lock import unheld

from .entries import Entry

SILENT_S = 24 * 3600
"""A file that says "running" and is held by nobody here may be another machine's, on a disk that both share, until
nothing in its folder was written for this long."""


def prune(options, entries: list[Entry]) -> int:
    """Delete what --keep and --older_than leave of the entries, oldest first; without --yes, list it. Returns 0."""
    readable = sorted((entry for entry in entries if entry.status != "unreadable"), key=lambda entry: entry.started)
    if unreadable := len(entries) - len(readable):
        print(f"left alone: {unreadable} that cannot be read, so are not known to be runs")
    chosen = _old(readable, options.keep, options.older_than)
    done = [entry for entry in chosen if _removed(entry, options.output_dir, options.yes)]
    if not options.yes and done:
        print(f"nothing was deleted: `--yes` deletes {'it' if len(done) == 1 else f'these {len(done)}'}")
    elif not done:
        print("nothing to delete")
    return 0


def _old(entries: list[Entry], keep: int | None, older_than: datetime.timedelta | None) -> list[Entry]:
    """Those that are not among the newest, and are old enough, of entries from the oldest to the newest."""
    chosen = entries[: max(len(entries) - (keep or 0), 0)]
    if older_than is None:
        return chosen
    limit = datetime.datetime.now(datetime.timezone.utc) - older_than
    return [entry for entry in chosen if entry.started < limit]


def _removed(entry: Entry, root: Path, really: bool) -> bool:
    """Delete one run, or print that it would be. Returns False for one that must not be, and prints why."""
    try:
        if entry.folder.resolve(strict=True) != root.resolve(strict=True) / entry.id:
            print(f"left alone: {entry.id}: a link leads there")
            return False
        with unheld(entry.folder) as free:
            if not free or _may_run_elsewhere(entry):
                print(f"left alone: {entry.id}: " + ("it may run on another machine" if free else "it is running"))
                return False
            size = sum(path.lstat().st_size for path in entry.folder.rglob("*"))
            if really:
                shutil.rmtree(entry.folder, onerror=_unless_gone)
    except FileNotFoundError:
        print(f"left alone: {entry.id}: another process deleted it")
        return False
    except OSError as error:
        raise MachineError(f"cannot delete {entry.folder}: {error.strerror}") from error
    print(f"{'deleted' if really else 'would delete'}: {entry.id} ({entry.kind}, {entry.status}, {size / 1e6:.1f} MB)")
    return True


def _unless_gone(_function: object, _path: object, raised: tuple[type, Exception, object]) -> None:
    """What another process deletes at the same time need not be deleted."""
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


def _may_run_elsewhere(entry: Entry) -> bool:
    """Whether its file says that it runs, and something was written there within a day."""
    if entry.status not in ("running", "killed"):
        return False
    written = max(path.lstat().st_mtime for path in [entry.folder, *entry.folder.iterdir()])
    return time.time() - written < SILENT_S
