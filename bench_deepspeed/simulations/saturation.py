"""How often a level is called saturated, at which share of the rate that a target can sustain.

    python -m bench_deepspeed.simulations.saturation [--check]

Queues in virtual time: Poisson arrivals, every service as long as any other (M/D/1), 16 at once (M/D/16), or any number
at once that slow each other down from 16 on (processor sharing, as in continuous batching). `utilization` is the rate
over the highest that could be sustained: below 1 a queue settles in the end, above it never does.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections import deque

from bench_deepspeed.benchmarks.load.arrivals import poisson
from bench_deepspeed.benchmarks.load.generator import Window
from bench_deepspeed.benchmarks.load.measure import LONGER
from bench_deepspeed.benchmarks.load.records import Level, Record
from bench_deepspeed.benchmarks.load.saturation import judge
from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.simulations import command

EVIDENCE = RESULTS / "simulations" / "saturation.json"
RUNS = 300
UTILIZATIONS = (0.5, 0.8, 0.9, 1.1, 1.2, 1.5)
KINDS = (*itertools.product(("one after the other", "16 at once", "sharing 16"), (100, 1000)),)
"""How it serves, and services that it can give in the window."""


def fifo(arrivals: list[float], servers: int) -> list[float]:
    """When each request ends, where every service takes one second and others wait in the order of arrival."""
    free, ends = [0.0] * servers, []
    for due_s in arrivals:
        server = free.index(min(free))
        free[server] = max(due_s, free[server]) + 1.0
        ends.append(free[server])
    return ends


def sharing(arrivals: list[float], servers: int) -> list[float]:
    """The same where all are served at once: each at full speed up to so many, and at servers ∕ number beyond.

    Each has the same work and gets the same share of it, so they end in the order of arrival.
    """
    now, done, ends = 0.0, 0.0, []  # `done`: the work that a request present all the time would have received
    due_at: deque[float] = deque()  # what `done` will be when each one there ends
    for due_s in [*arrivals, math.inf]:
        while due_at:
            speed = min(1.0, servers / len(due_at))
            end = now + (due_at[0] - done) / speed
            if end > due_s:
                done += (due_s - now) * speed
                break
            now, done = end, due_at.popleft()
            ends.append(end)
        now = due_s
        due_at.append(done + 1.0)
    return ends


QUEUES = {"one after the other": (fifo, 1), "16 at once": (fifo, 16), "sharing 16": (sharing, 16)}


def level(utilization: float, kind: str, services: int, seed: int) -> Level:
    """A level against a queue whose every service takes one second of one server."""
    serve, servers = QUEUES[kind]
    window, rate = Window.of(services / servers, 1.0), utilization * servers
    arrivals = list(itertools.takewhile(lambda due_s: due_s < window.stop_s, poisson(rate, seed)))
    ends = serve(arrivals, servers)
    records = [
        Record(due_s, due_s, end - 0.5, end, 1, 2, 2, 0.5, None) for due_s, end in zip(arrivals, ends, strict=True)
    ]
    return Level(None, rate, (window.start_s, window.end_s), 0, {}, 0.0, servers, records)


def saturated(utilization: float, kind: str, services: int, runs: int = RUNS) -> int:
    """How many of so many levels are called saturated, at once and when held again for longer."""
    return sum(
        judge(level(utilization, kind, services, seed)).saturated
        and judge(level(utilization, kind, LONGER * services, runs + seed)).saturated
        for seed in range(runs)
    )


def evidence(runs: int = RUNS) -> dict:
    """All that is published."""
    rows = [
        {
            "served": kind,
            "services": services,
            "saturated": [saturated(u, kind, services, runs) for u in UTILIZATIONS],
        }
        for kind, services in KINDS
    ]
    return {"runs": runs, "utilizations": UTILIZATIONS, "rows": rows}


if __name__ == "__main__":
    sys.exit(command("saturation", __doc__, EVIDENCE, evidence))
