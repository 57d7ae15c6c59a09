"""Which folders of runs are in use: a run holds a lock on its folder until its process ends, however it ends.

A file that says "running" says so for ever after a kill, and a number of a process may by then be another's. The
kernel gives a lock back, so nobody has to clean up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_HELD: list[int] = []


def hold(folder: Path) -> None:
    """Hold a folder for as long as this process lives; its children do not. Without effect where locks are unknown."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    _HELD.append(descriptor)
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


@contextlib.contextmanager
def unheld(folder: Path) -> Iterator[bool]:
    """Whether no process of this machine holds a folder; if so, none can come to hold it in the block.

    Raises OSError where the folder cannot be opened. Where locks are unknown it is taken for held.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
