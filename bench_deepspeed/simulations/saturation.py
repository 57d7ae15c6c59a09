"""How often a rate is called sustained or not, and how often the bracket of a series of rates contains the capacity.

    python -m bench_deepspeed.simulations.saturation [--check]

Queues in virtual time: Poisson arrivals, every service as long as any other (M/D/1), 16 at once (M/D/16), or any number
at once that slow each other down from 16 on (processor sharing, as in continuous batching). `utilization` is the rate
over the capacity, the highest that could be sustained: below 1 a queue settles in the end, above it never does.
Warm-up, window, the second and longer hold, verdict and bracket are the load test's own.
"""

from __future__ import annotations

import heapq
import itertools
import math
import sys
from collections import Counter, deque
from statistics import fmean

from bench_deepspeed.benchmarks.load.arrivals import arrivals as arrival_times
from bench_deepspeed.benchmarks.load.generator import Plan, Window
from bench_deepspeed.benchmarks.load.measure import LONGER
from bench_deepspeed.benchmarks.load.records import Level, Record
from bench_deepspeed.benchmarks.load.saturation import bracket, judge
from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.simulations import command

EVIDENCE = RESULTS / "simulations" / "saturation.json"
RUNS = 200
UTILIZATIONS = (0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 1.5)
SERIES = (0.6, 0.7, 0.8, 0.9, 0.97, 1.04, 1.12, 1.25, 1.4)
"""Utilizations of a series of rates, which ends at the first that is not sustained."""
KINDS = (*itertools.product(("one after the other", "16 at once", "sharing 16"), (100, 1000)),)
"""How it serves, and services that it can give in the window."""


def fifo(arrivals: list[float], servers: int) -> list[float]:
    """When each request ends, where every service takes one second and others wait in the order of arrival."""
    free, ends = [0.0] * servers, []
    for due_s in arrivals:
        ends.append(max(due_s, free[0]) + 1.0)
        heapq.heapreplace(free, ends[-1])
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


def level(utilization: float, kind: str, seconds: float, seed: int) -> Level:
    """A level against a queue whose every service takes one second of one server; requests end in their order."""
    serve, servers = QUEUES[kind]
    plan, rate = Plan(seconds, rate=utilization * servers), utilization * servers
    window, arrivals, count = None, [0.0], round(seconds * rate)
    while window is None or window.stop_s > arrivals[-1]:
        count *= 2
        arrivals = list(itertools.islice(arrival_times(rate, seed), count))
        ends = serve(arrivals, servers)
        window = settled(plan, arrivals, ends)
    records = [
        Record(due_s, due_s, end - 0.5, end, 1, 2, 2, 0.5, None)
        for due_s, end in zip(arrivals, ends, strict=True)
        if due_s < window.stop_s
    ]
    return Level(None, rate, (window.start_s, window.end_s), 0, {}, 0.0, servers, records)


def settled(plan: Plan, arrivals: list[float], ends: list[float]) -> Window | None:
    """The window that begins when latency has settled, which is seen at an arrival; None where it has not by then."""
    longest, ended = 0.0, 0
    for now in arrivals:
        while ends[ended] <= now:
            longest = max(longest, ends[ended] - arrivals[ended])
            ended += 1
        so_far = max(longest, now - arrivals[ended])
        if now >= plan.start_s(so_far, ended):
            return plan.window(now, so_far, ended)
    return None


def held(utilization: float, kind: str, services: int, seed: int) -> Level:
    """A rate as a load test holds it: once, and again for longer where its verdict is not "sustained"."""
    seconds = services / QUEUES[kind][1]
    first = level(utilization, kind, seconds, seed)
    if judge(first).state == "sustained":
        return first
    return level(utilization, kind, LONGER * seconds, seed + 10**6)


def states(utilization: float, kind: str, services: int, runs: int) -> dict[str, int]:
    """The number of levels with each verdict."""
    counted = Counter(judge(held(utilization, kind, services, seed)).state for seed in range(runs))
    return {state: counted[state] for state in ("sustained", "not sustained")}


def series(kind: str, services: int, seed: int) -> list[Level]:
    """Rising rates, until one is not sustained."""
    levels: list[Level] = []
    for number, utilization in enumerate(SERIES):
        levels.append(held(utilization, kind, services, 1000 * seed + number))
        if judge(levels[-1]).state == "not sustained":
            break
    return levels


def brackets(kind: str, services: int, runs: int) -> dict[str, float | int | None]:
    """How often the brackets of series contain the capacity, and the mean of their ends relative to it."""
    found = [bracket(series(kind, services, seed)) for seed in range(runs)]
    capacity = QUEUES[kind][1]
    lows = [one.sustained / capacity for one in found if one.sustained is not None]
    highs = [one.not_sustained / capacity for one in found if one.not_sustained is not None]
    return {
        "low_found": len(lows),
        "low_above": sum(low > 1 for low in lows),
        "low_mean": round(fmean(lows), 4) if lows else None,
        "high_found": len(highs),
        "high_below": sum(high < 1 for high in highs),
        "high_mean": round(fmean(highs), 4) if highs else None,
    }


def evidence(runs: int = RUNS) -> dict:
    """All that is published."""
    rows = [
        {
            "served": kind,
            "services": services,
            "states": [states(utilization, kind, services, runs) for utilization in UTILIZATIONS],
            "brackets": brackets(kind, services, runs),
        }
        for kind, services in KINDS
    ]
    return {"runs": runs, "utilizations": UTILIZATIONS, "series": SERIES, "rows": rows}


if __name__ == "__main__":
    sys.exit(command("saturation", __doc__, EVIDENCE, evidence))
