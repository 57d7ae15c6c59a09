"""Which folders of runs are in use: a run holds a lock on its folder until its process ends, however it ends.

A status file would still say "running" after a kill, and a process id may by then belong to another process. The
kernel releases a lock, so nobody has to clean up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import UsageError

WAIT_S = 5
"""A check whether a folder is in use locks it for microseconds; a lock that is held longer than this is a run's."""
_HELD: list[int] = []


def hold(folder: Path) -> None:
    """Hold a folder for as long as this process lives; its children do not. Without effect where the file
    system knows no locks.

    Waits for checks whether it is held. Raises UsageError where another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + WAIT_S
    while not _locked(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise UsageError(f"another process is at work in {folder}")
        time.sleep(0.01)
    _HELD.append(descriptor)


def _locked(descriptor: int, how: int) -> bool:
    """Try to lock; False where another's lock is in the way, True where the file system knows no locks."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def unheld(folder: Path) -> Iterator[bool]:
    """Whether no process of this machine holds a folder; if so, none can come to hold it in the block.

    Any number of processes may check at once. Raises OSError where the folder cannot be opened. Where the file
    system knows no locks, the folder counts as held.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
