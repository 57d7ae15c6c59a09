"""Sends requests when they are due and notes what comes back, without waiting for one to send the next.

One thread decides what is sent when; each request is then sent in a thread of a pool, which blocks in the
target. Latency counts from the time at which a request was due, not from when it was sent, so neither a slow
target nor a late generator can hide what a user would have waited ("coordinated omission").
"""

from __future__ import annotations

import dataclasses
import math
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from bench_deepspeed.benchmarks.load.targets.base import RequestError

from .records import Request

EDGE = 0.2
"""The load is on for this share of the window before it at least, and up to as long after it."""
SETTLING = 2
"""… and for so many times what the first request took, alone, up to the window's own length."""
MOST_IN_FLIGHT = 1000
"""Threads of the pool. What is due beyond them waits for one, and its latency counts on."""
CHECK_S = 1.0


@dataclass(frozen=True)
class Window:
    """The steady part of a level: what is due in it counts. The load begins before it and goes on after it."""

    start_s: float
    end_s: float
    stop_s: float
    """What is due from here on is not sent."""

    @classmethod
    def settled(cls, seconds: float, first_s: float) -> Window:
        """A window of so many seconds, with its edges, where the first request ended after `first_s`."""
        edge = min(max(EDGE * seconds, SETTLING * first_s), seconds)
        return cls(edge, edge + seconds, seconds + 2 * edge)

    @classmethod
    def of_trace(cls, last_s: float) -> Window:
        """The window of arrivals that end at `last_s`, the last of which is in it: nothing comes after it."""
        end = last_s + 2e-6  # times are kept to the microsecond
        return cls(last_s * EDGE / (1 + EDGE), end, end)

    def holds(self, time_s: float) -> bool:
        return self.start_s <= time_s < self.end_s


@dataclass(eq=False)
class InFlightRequest:
    """One request under way. `times` are those of its tokens; all are seconds from the level's start."""

    request: Request
    sent_s: float | None = None
    times: list[float] = field(default_factory=list)
    error: str | None = None
    ended_s: float | None = None


class Generator:
    """Runs one level. `clients`: so many requests at a time, of a source without times; None: at the source's.

    `window` is the steady window, or its seconds: then it begins when the load has settled (see `Window.settled`), and
    is known after the first request.
    """

    def __init__(
        self,
        send: Callable[[Request], list[float]],
        source: Iterator[Request],
        window: Window | float,
        *,
        timeout_s: float,
        clients: int | None = None,
        check: Callable[[], None] = lambda: None,
    ):
        self._send, self._source, self._check = send, source, check
        self._timeout_s, self._clients = timeout_s, clients
        self._seconds = None if isinstance(window, Window) else window
        self.window = window if self._seconds is None else Window.settled(window, math.inf)
        self._ended: queue.SimpleQueue[tuple[InFlightRequest, Future]] = queue.SimpleQueue()
        self._due: deque[Request] = deque()
        self._under_way: dict[InFlightRequest, float] = {}  # → when it is abandoned; in the order of sending
        self.flights: list[InFlightRequest] = []
        self.most_in_flight = 0

    def run(self) -> list[InFlightRequest]:
        """Send until the window's requests have ended, and return all that were sent, in that order.

        Nothing is under way afterwards but what was abandoned. Raises what ended the target.
        """
        self._started = self._checked = time.perf_counter()
        self._pool = ThreadPoolExecutor(MOST_IN_FLIGHT)
        try:
            for _ in range(self._clients or 1):
                self._take(0.0 if self._clients else None)
            while self._due or self._under_way:
                self._launch_due()
                self._wait()
        finally:
            self._pool.shutdown(wait=False)
        return self.flights

    def _now(self) -> float:
        return time.perf_counter() - self._started

    def _take(self, due_s: float | None) -> None:
        """Take the source's next request, if there is one: due then, or at its own time."""
        request = next(self._source, None)
        if request is not None:
            self._due.append(request if due_s is None else dataclasses.replace(request, due_s=due_s))

    def _launch_due(self) -> None:
        while self._due:
            if not self._is_wanted(self._due[0].due_s):
                self._due.clear()
            elif self._due[0].due_s > self._now():
                return
            else:
                request = self._due.popleft()
                if not self._clients:
                    self._take(None)
                self._launch(request)

    def _is_wanted(self, due_s: float) -> bool:
        """In the window or before it; after it for as long as requests of the window are under way."""
        if due_s < self.window.end_s:
            return True
        return due_s < self.window.stop_s and any(self.window.holds(f.request.due_s) for f in self._under_way)

    def _launch(self, request: Request) -> None:
        flight = InFlightRequest(request)
        self.flights.append(flight)
        self._under_way[flight] = self._now() + self._timeout_s
        self.most_in_flight = max(self.most_in_flight, len(self._under_way))
        self._pool.submit(self._fly, flight).add_done_callback(lambda future: self._ended.put((flight, future)))

    def _fly(self, flight: InFlightRequest) -> None:
        flight.sent_s = self._now()
        try:
            times = self._send(flight.request)
        except RequestError as error:
            flight.error = flight.error or str(error)
        else:
            flight.times = [moment - self._started for moment in times]
            if len(times) != flight.request.max_tokens:
                flight.error = flight.error or f"{len(times)} tokens came, {flight.request.max_tokens} were asked for"
        flight.ended_s = self._now()

    def _wait(self) -> None:
        """Wait for one to end, or for the next to be due or to be abandoned; look after the target now and then."""
        abandoned_s = next(iter(self._under_way.values()), math.inf)
        until_s = min(self._due[0].due_s if self._due else math.inf, abandoned_s, self._now() + CHECK_S)
        try:
            flight, future = self._ended.get(timeout=max(0.0, until_s - self._now()))
            future.result()  # raises what ended the target, and not only this request
            if self._seconds is not None and flight is self.flights[0] and flight.error is None:
                self.window = Window.settled(self._seconds, flight.ended_s - flight.request.due_s)
            self._land(flight, flight.ended_s)
        except queue.Empty:
            if abandoned_s <= self._now():
                flight = next(iter(self._under_way))
                flight.error = flight.error or f"no answer within {self._timeout_s:g} s"
                self._land(flight, self._now())
        if self._now() + self._started - self._checked >= CHECK_S:
            self._checked = time.perf_counter()
            self._check()

    def _land(self, flight: InFlightRequest, ended_s: float) -> None:
        """Take a request off those under way, unless it was abandoned before; its client sends the next at once."""
        if self._under_way.pop(flight, None) is not None and self._clients:
            self._take(ended_s)
