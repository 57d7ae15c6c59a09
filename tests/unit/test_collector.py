"""The garbage collector while something is timed."""

from __future__ import annotations

import gc
import weakref

import pytest

from bench_deepspeed.core import collector


class Cycle:
    def __init__(self):
        self.own = self


def test_nothing_is_collected_within_and_all_of_it_afterwards():
    with collector.paused():
        kept = weakref.ref(Cycle())
        for _ in range(100):
            [Cycle() for _ in range(1000)]
        assert kept() is not None
    assert kept() is None
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_it_is_on_again_after_an_error():
    with pytest.raises(RuntimeError), collector.paused():
        raise RuntimeError
    assert gc.isenabled()
