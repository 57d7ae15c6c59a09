"""The load generator against a real server of known behaviour over loopback. No speed is asserted."""

from __future__ import annotations

import threading

import pytest

from bench_deepspeed.benchmarks.load.generator import Generator, Window
from bench_deepspeed.benchmarks.load.records import Request
from bench_deepspeed.benchmarks.load.targets.base import RequestError
from bench_deepspeed.engines.base import Streamed

ASKED = Request("a b", 2, 3)


def test_what_is_no_failure_of_a_request_is_raised():
    def broken(asked: Request) -> Streamed:
        raise ZeroDivisionError

    generator = Generator(broken, iter([ASKED]), Window(0, 1, 1), timeout_s=5.0, clients=1)
    with pytest.raises(ZeroDivisionError):
        generator.run()


def test_a_failed_request_keeps_its_reason():
    def refuse(asked: Request) -> Streamed:
        raise RequestError("no")

    (flight,) = Generator(refuse, iter([Request("a", 1, 3, 0.0)]), Window(0, 1, 1), timeout_s=5.0).run()
    assert flight.error == "no"


def test_load_goes_on_after_the_window_only_while_its_requests_are_under_way():
    """The first request ends when the third is sent, however long that takes; so the fourth must not be."""
    third = threading.Event()

    def send(asked: Request) -> Streamed:
        if asked.due_s == 0.35:
            third.set()
        third.wait(60)
        return Streamed([], [])

    source = (Request("a", 1, 0, due_s) for due_s in (0.0, 0.3, 0.35, 500.0))
    flights = Generator(send, source, Window(0.0, 0.1, 1000.0), timeout_s=60.0).run()
    assert [flight.request.due_s for flight in flights] == [0.0, 0.3, 0.35]
