"""Sends requests when they are due and notes what comes back, without waiting for one to send the next.

One thread decides what is sent when; each request is then sent in a thread of a pool, which blocks in the target, or
as a task of the target's event loop. Latency counts from the time at which a request was due, not from when it was
sent, so neither a slow target nor a late generator can hide what a user would have waited ("coordinated omission").
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import queue
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from bench_deepspeed.benchmarks.load.targets.base import RequestError
from bench_deepspeed.engines.base import Streamed

from .arrivals import ARRIVALS, seconds_for
from .records import Request, TokenCount

EDGE = 0.2
"""The load is on for this share of the window before it at least."""
SETTLING = 2
"""… and for so many times the longest latency under this load so far. A window is as long at least."""
LONGEST = 4
"""Neither warm-up nor window is longer than so many times the requested seconds."""
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
    def after(cls, start_s: float, seconds: float) -> Window:
        """A window of so many seconds; the load goes on for up to as long after it as it was on before."""
        return cls(start_s, start_s + seconds, 2 * start_s + seconds)

    @classmethod
    def of_trace(cls, last_s: float) -> Window:
        """The window of arrivals that end at `last_s`, the last of which is in it: nothing comes after it."""
        end = last_s + 2e-6  # times are kept to the microsecond
        return cls(last_s * EDGE / (1 + EDGE), end, end)

    def holds(self, time_s: float) -> bool:
        return self.start_s <= time_s < self.end_s


@dataclass(frozen=True)
class Plan:
    """What is asked of a window: its seconds, how many requests are to be due in it, and at which rate they come.

    The load has its whole rate after `ramp_s`; `burstiness` is that of its arrivals.

    `rate` is None where clients wait: then it is the rate at which they did so far. More seconds are taken where so
    many requests, or requests as long as these, need them.
    """

    seconds: float
    requests: int = 0
    rate: float | None = None
    burstiness: float = 1.0
    ramp_s: float = 0.0

    def start_s(self, longest_s: float, ended: int) -> float:
        """How long the load has been on when it has settled, at the longest latency and the requests ended so far."""
        most_s = self.ramp_s + self.most_s
        return min(self.ramp_s + max(EDGE * self.seconds, SETTLING * longest_s), most_s) if ended else most_s

    @property
    def most_s(self) -> float:
        return LONGEST * self.seconds

    def window(self, now_s: float, longest_s: float, ended: int) -> Window:
        """The window that begins now, at the longest latency and the number of requests that ended so far."""
        whole_s = min(SETTLING * longest_s + (ARRIVALS / self.rate if self.rate else 0.0), self.most_s)
        rate = self.rate or max(ended, 1) / now_s
        enough_s = seconds_for(self.requests, rate, self.burstiness) if self.requests else 0.0
        return Window.after(now_s, max(self.seconds, whole_s, enough_s))


UNKNOWN = Window(math.inf, math.inf, math.inf)


@dataclass(eq=False)
class InFlightRequest:
    """One request under way. `times` are those of its tokens, or of chunks of them; all from the level's start, in s.

    `count` is known once nothing is being timed: until then, and where it stays None, each time is a token's.
    """

    request: Request
    sent_s: float | None = None
    times: list[float] = field(default_factory=list)
    error: str | None = None
    ended_s: float | None = None
    streamed: Streamed | None = None
    count: TokenCount | None = None

    @property
    def new_tokens(self) -> int:
        return self.count.new if self.count else len(self.times)


class Generator:
    """Runs one level. `clients`: so many requests at a time, of a source without times; None: at the source's.

    `window` is the steady window, or what is asked of one: then it begins when the load has settled, which is when
    requests that were sent under the load have ended: twice the longest latency so far after the start, those under way
    included, and not before one has ended. `settled` says whether that came before `Plan.most_s`. `send` is called in a
    thread of the pool, or returns what is awaited on `loop`, where there is one. `exact_lengths`: an answer with
    another number of tokens than requested has failed.
    """

    def __init__(
        self,
        send: Callable[[Request], Streamed] | Callable[[Request], Awaitable[Streamed]],
        source: Iterator[Request],
        window: Window | Plan,
        *,
        timeout_s: float,
        clients: int | None = None,
        check: Callable[[], None] = lambda: None,
        loop: asyncio.AbstractEventLoop | None = None,
        exact_lengths: bool = True,
    ):
        self._send, self._source, self._check = send, source, check
        self._timeout_s, self._clients = timeout_s, clients
        self._loop, self._exact_lengths = loop, exact_lengths
        self._plan = None if isinstance(window, Window) else window
        self.window = window if isinstance(window, Window) else UNKNOWN
        self.settled: bool | None = None
        self._longest_s = 0.0
        self._ended_well = 0
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
        self._settle()
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
                self._settle()

    def _is_wanted(self, due_s: float) -> bool:
        """In the window or before it; after it for as long as requests of the window are under way."""
        if due_s < self.window.end_s:
            return True
        return due_s < self.window.stop_s and any(self.window.holds(f.request.due_s) for f in self._under_way)

    def _settle(self) -> None:
        """Begin the window, where it has not begun and the load has settled, or has been on for as long as it may."""
        plan, now_s = self._plan, self._now()
        if plan is None or self.window is not UNKNOWN:
            return
        oldest = next(iter(self._under_way), None)
        longest_s = max(self._longest_s, now_s - oldest.request.due_s if oldest else 0.0)
        if now_s >= plan.start_s(longest_s, self._ended_well):
            self.settled = bool(self._ended_well) and now_s >= SETTLING * longest_s
            self.window = plan.window(now_s, longest_s, self._ended_well)

    def _launch(self, request: Request) -> None:
        flight = InFlightRequest(request)
        self.flights.append(flight)
        self._under_way[flight] = self._now() + self._timeout_s
        self.most_in_flight = max(self.most_in_flight, len(self._under_way))
        self._start(flight).add_done_callback(lambda future: self._ended.put((flight, future)))

    def _start(self, flight: InFlightRequest) -> Future:
        if self._loop is None:
            return self._pool.submit(self._fly, flight)
        return asyncio.run_coroutine_threadsafe(self._fly_on_loop(flight), self._loop)

    def _fly(self, flight: InFlightRequest) -> None:
        with self._timed(flight):
            self._note(flight, self._send(flight.request))

    async def _fly_on_loop(self, flight: InFlightRequest) -> None:
        with self._timed(flight):
            self._note(flight, await self._send(flight.request))

    @contextlib.contextmanager
    def _timed(self, flight: InFlightRequest) -> Iterator[None]:
        """Note when a request is sent and has ended, and why it failed."""
        flight.sent_s = self._now()
        try:
            yield
        except RequestError as error:
            flight.error = flight.error or str(error)
        flight.ended_s = self._now()

    def _note(self, flight: InFlightRequest, streamed: Streamed) -> None:
        flight.streamed = streamed
        flight.times = [moment - self._started for moment in streamed.times]
        if self._exact_lengths and len(flight.times) != flight.request.max_tokens:
            error = f"{len(flight.times)} tokens came, {flight.request.max_tokens} were requested"
            flight.error = flight.error or error

    def _wait(self) -> None:
        """Wait for one to end, or for the next to be due or to be abandoned; look after the target now and then."""
        abandoned_s = next(iter(self._under_way.values()), math.inf)
        until_s = min(self._due[0].due_s if self._due else math.inf, abandoned_s, self._now() + CHECK_S)
        try:
            flight, future = self._ended.get(timeout=max(0.0, until_s - self._now()))
            future.result()  # raises what ended the target, and not only this request
            if flight.error is None:
                self._ended_well += 1
                self._longest_s = max(self._longest_s, flight.ended_s - flight.request.due_s)
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
