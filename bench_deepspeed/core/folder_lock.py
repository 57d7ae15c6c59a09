"""Which folders of runs are in use: a run holds a lock on its folder until its process ends, however it ends.

A file that says "running" says so for ever after a kill, and a number of a process may by then be another's. The
kernel gives a lock back, so nobody has to clean up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import UsageError

LOOK_S = 5
"""Who looks at a folder keeps it for microseconds: who keeps it longer than this is at work in it."""
_HELD: list[int] = []


def hold(folder: Path) -> None:
    """Hold a folder for as long as this process lives; its children do not. Without effect where locks are unknown.

    Waits for those who look whether it is held. Raises UsageError where another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + LOOK_S
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

    Any number may look at once. Raises OSError where the folder cannot be opened. Where locks are unknown it is
    taken for held.
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
