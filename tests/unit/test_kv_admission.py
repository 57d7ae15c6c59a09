"""Room in the KV cache: nothing is sent that does not fit, in the order of arrival."""

from __future__ import annotations

import threading

import pytest
from support import DEADLINE_S, wait_until

from bench_deepspeed.benchmarks.load.targets.kv_admission import KvAdmission, NoKvSpaceError
from bench_deepspeed.core.errors import BenchError


class Requests:
    """Requests in threads of their own, which hold their room until they are reported to end."""

    def __init__(self, room: KvAdmission):
        self.room, self.holding, self._ends, self._threads = room, [], {}, []

    def start(self, name: str, tokens: int) -> None:
        self._ends[name] = threading.Event()
        self._threads.append(threading.Thread(target=self._hold, args=(name, tokens)))
        self._threads[-1].start()

    def _hold(self, name: str, tokens: int) -> None:
        with self.room.reserve(tokens, DEADLINE_S):
            self.holding.append(name)
            self._ends[name].wait()
            self.holding.remove(name)

    def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def test_a_request_that_does_not_fit_waits_and_none_overtakes():
    requests = Requests(KvAdmission(blocks=4, block_tokens=64))
    requests.start("a", 3 * 64)
    wait_until(lambda: requests.holding == ["a"])
    requests.start("large", 2 * 64)
    wait_until(lambda: requests.room.waited == 1)
    requests.start("small", 64)  # would fit next to a, but came later
    wait_until(lambda: requests.room.waited == 2)
    assert requests.holding == ["a"]
    requests.end("a")
    wait_until(lambda: sorted(requests.holding) == ["large", "small"])
    requests.end("large", "small")
    requests.join()
    assert requests.room.waited == 2


def test_a_block_is_one_request_s():
    """65 tokens fill two blocks of 64, and two requests do not share one."""
    requests = Requests(KvAdmission(blocks=3, block_tokens=64))
    requests.start("a", 65)
    wait_until(lambda: requests.holding == ["a"])
    requests.start("b", 65)
    wait_until(lambda: requests.room.waited == 1)
    requests.end("a", "b")
    requests.join()


def test_what_never_fits_is_reported():
    with (
        pytest.raises(BenchError, match="takes 5 blocks of the KV cache, which has 4"),
        KvAdmission(4, 64).reserve(5 * 64, 1.0),
    ):
        pass


def test_a_request_that_fails_keeps_its_room():
    """MII goes on filling it, whoever listens."""
    room = KvAdmission(1, 64)
    with pytest.raises(ZeroDivisionError), room.reserve(64, 1.0):
        raise ZeroDivisionError
    with pytest.raises(NoKvSpaceError), room.reserve(64, 0.01):
        pass


def test_who_waits_too_long_fails_and_delays_no_other():
    room = KvAdmission(2, 64)
    with room.reserve(64, 1.0):
        with pytest.raises(NoKvSpaceError), room.reserve(2 * 64, 0.01):
            pass
        with room.reserve(64, 1.0):
            pass
