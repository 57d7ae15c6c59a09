"""Python's cyclic garbage collector, kept from running while something is timed."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Collect before the block and after it, and not within.

    A collection stops all threads, for tens of milliseconds where many objects are alive; none that is alive before is
    looked at again. Cycles that the block makes stay in memory until it ends.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        gc.collect()
