"""How much other processes use the processors, and how fast one of them is."""

from __future__ import annotations

import statistics
import time

import psutil

from .environment import allowed_cpus

SHORTEST_S = 0.2
"""The kernel counts in ticks of 10 ms on each CPU: over less than this, rounding would look like load."""


LOOPS, LOOP_STEPS = 5, 10_000


def loop_s() -> float:
    """Seconds of a fixed loop of plain Python on the core that this thread has: the median of five.

    A host that decodes token by token is held back by one thread of Python, and a core may slow down from second to
    second with no sign of it in any counter.
    """
    return statistics.median(_one_loop() for _ in range(LOOPS))


def _one_loop() -> float:
    total, started = 0, time.perf_counter()
    for step in range(LOOP_STEPS):
        total += step * step % 7
    return time.perf_counter() - started


class Cpus:
    """The CPUs that this process may run on."""

    def __init__(self):
        self._process = psutil.Process()

    def start(self) -> None:
        self._allowed = allowed_cpus()
        self._since = self._times()

    def others_busy(self) -> float | None:
        """CPUs kept busy by other processes since the start, on average: busy time − our own, ∕ time passed.

        Busy is whatever a CPU did but idle or wait for a disk, and what a hypervisor gave to others. None
        where too little time has passed.
        """
        passed, busy, ours = (now - then for now, then in zip(self._times(), self._since, strict=True))
        return max(0.0, busy - ours) / passed if passed >= SHORTEST_S else None

    def share_left(self) -> float | None:
        """The share of the CPUs that others left since the start, at least a twentieth; None as `others_busy`."""
        busy = self.others_busy()
        return None if busy is None else max(0.05, 1.0 - busy / len(self._allowed))

    def _times(self) -> tuple[float, float, float]:
        """Seconds: of the clock, of all allowed CPUs being busy, and of our own processes computing."""
        cpus = psutil.cpu_times(percpu=True)
        busy = sum(_busy_s(times) for cpu, times in enumerate(cpus) if cpu in self._allowed)
        return time.perf_counter(), busy, self._own_s()

    def _own_s(self) -> float:
        """CPU time of this process and its descendants, ended ones included."""
        seconds = 0.0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                seconds += sum(process.cpu_times()[:4])  # user, system, and both of the children that ended
            except psutil.Error:
                continue  # it has just ended: its time is among its parent's children's now
        return seconds


def _busy_s(times) -> float:
    fields = times._asdict()  # guests' time is part of user and nice
    return sum(fields.values()) - sum(fields.get(name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))
