"""Room in a KV cache: a request waits until what it may fill is free.

MII (0.3.3) takes every request that it is sent, and with a full cache it returns wrong tokens or dies. So nothing is
sent that does not fit; it waits here, in the order of arrival, and its latency counts on.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator

from bench_deepspeed.core.errors import BenchError


class NoKvSpaceError(Exception):
    """There was no room for a request within its time."""


class KvAdmission:
    """Blocks of a KV cache of `blocks`, each of which holds `block_tokens` tokens of one request."""

    def __init__(self, blocks: int, block_tokens: int):
        self._block_tokens = block_tokens
        self._blocks = self._free = blocks
        self._changed = threading.Condition()
        self._arrived: deque[object] = deque()
        self.waited = 0
        """Requests that did not find room at once."""

    @contextlib.contextmanager
    def reserve(self, tokens: int, timeout_s: float) -> Iterator[None]:
        """Hold the blocks of one request, prompt and answer, until it has ended well.

        Those of one that failed stay taken: MII goes on with a stream that nobody listens to. A target that a request
        failed on is started again. Raises NoKvSpaceError when there is no room within that time, and BenchError for a
        request that never fits.
        """
        needed = -(-tokens // self._block_tokens)
        if needed > self._blocks:
            raise BenchError(f"a request takes {needed} blocks of the KV cache, which has {self._blocks}")
        with self._changed:
            self._take(needed, timeout_s)
        yield
        with self._changed:
            self._free += needed
            self._changed.notify_all()

    def _take(self, needed: int, timeout_s: float) -> None:
        ticket = object()
        self._arrived.append(ticket)
        self.waited += self._arrived[0] is not ticket or needed > self._free
        fits = self._changed.wait_for(lambda: self._arrived[0] is ticket and needed <= self._free, timeout_s)
        self._arrived.remove(ticket)
        self._changed.notify_all()  # the next in line may fit as well
        if not fits:
            raise NoKvSpaceError
        self._free -= needed
