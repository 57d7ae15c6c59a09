"""Deleting old runs: by default only what would be, and never one that may be at work.

Only folders that `find` found are looked at, and of these only those that could be read: what cannot be told
to be a run's is not deleted.
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
    readable = sorted((one for one in entries if one.status != "unreadable"), key=lambda one: one.started)
    if unreadable := len(entries) - len(readable):
        print(f"left alone: {unreadable} that cannot be read, so are not known to be runs")
    chosen = _old(readable, options.keep, options.older_than)
    done = [one for one in chosen if _removed(one, options.output_dir, options.yes)]
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
    return [one for one in chosen if one.started < limit]


def _removed(one: Entry, root: Path, really: bool) -> bool:
    """Delete one run, or say that it would be. Returns False for one that must not be, and says why."""
    try:
        if one.folder.resolve(strict=True) != root.resolve(strict=True) / one.id:
            print(f"left alone: {one.id}: a link leads there")
            return False
        with unheld(one.folder) as free:
            if not free or _may_run_elsewhere(one):
                print(f"left alone: {one.id}: " + ("it may run on another machine" if free else "it is running"))
                return False
            size = sum(path.lstat().st_size for path in one.folder.rglob("*"))
            if really:
                shutil.rmtree(one.folder)
    except OSError as error:
        raise MachineError(f"cannot delete {one.folder}: {error.strerror}") from error
    print(f"{'deleted' if really else 'would delete'}: {one.id} ({one.kind}, {one.status}, {size / 1e6:.1f} MB)")
    return True


def _may_run_elsewhere(one: Entry) -> bool:
    """Whether its file says that it runs, and something was written there within a day."""
    if one.status not in ("running", "killed"):
        return False
    written = max(path.lstat().st_mtime for path in [one.folder, *one.folder.iterdir()])
    return time.time() - written < SILENT_S
