"""How often the rate that a search finds is above the highest one that attains the objective, and how far below it is.

    python -m bench_deepspeed.simulations.slo [--check]

Queues in virtual time, those of `saturation`; a request's first token comes half a second before it ends, so TTFT is
its wait and half a second. The highest rate that attains the objective is that of a long series of requests. The
search, its judgement of a level, and the second and longer hold are the load test's own.
"""

from __future__ import annotations

import itertools
import sys
from statistics import fmean

from bench_deepspeed.benchmarks.load import objective, search
from bench_deepspeed.benchmarks.load.arrivals import arrivals, seconds_for
from bench_deepspeed.benchmarks.load.attainment import judge
from bench_deepspeed.benchmarks.load.measure import LONGER
from bench_deepspeed.benchmarks.load.records import Level, Slo
from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.simulations import command
from bench_deepspeed.simulations.saturation import QUEUES, level

EVIDENCE = RESULTS / "simulations" / "slo.json"
RUNS = 60
LONG = 100_000
"""Requests of the series that says what is true."""
CASES = (("ttft_p90<=1500ms", 1), ("ttft_p90<=1500ms", 8), ("ttft_p99<=1500ms", 1))
"""Objectives, and how many times the requests that a level has at least are in its window: what --seconds sets."""
FIRST = 0.1
"""The first utilization."""


def highest(kind: str, slo: Slo) -> float:
    """The highest utilization at which a limit holds, to 1%, from long series of the same seed."""
    (term,), (serve, servers) = slo.terms, QUEUES[kind]

    def holds(utilization: float) -> bool:
        due = list(itertools.islice(arrivals(utilization * servers, 0), LONG))
        within = sum(end - 0.5 - at <= term.limit_s for at, end in zip(due, serve(due, servers), strict=True))
        return within >= term.percent / 100 * LONG

    low, high = 0.0, 1.0
    while high - low > 0.01 * high:
        low, high = ((low + high) / 2, high) if holds((low + high) / 2) else (low, (low + high) / 2)
    return low


def held(rate: float, kind: str, slo: Slo, times: int, seed: int) -> Level:
    """A rate, in requests a second, as a search holds it: once, and again for longer where that may show more."""
    utilization, requests = rate / QUEUES[kind][1], times * objective.requests_for(slo)
    first = level(utilization, kind, seconds_for(requests, rate), seed)
    if not judge(first, slo).promising:
        return first
    return level(utilization, kind, seconds_for(LONGER * requests, rate), seed + 10**6)


def searched(kind: str, slo: Slo, times: int, seed: int) -> list[Level]:
    """The levels of one search."""
    levels: list[Level] = []
    attained: dict[float, bool] = {}
    while (rate := search.next_rate(attained, FIRST * QUEUES[kind][1])) is not None:
        levels.append(held(rate, kind, slo, times, 1000 * seed + len(levels)))
        attained[rate] = judge(levels[-1], slo).state == "attained"
    return levels


def row(kind: str, text: str, times: int, runs: int) -> dict:
    """What the searches of one objective on one queue found, relative to the highest rate that attains it."""
    slo = objective.slo(text)
    limit, searches = highest(kind, slo), [searched(kind, slo, times, seed) for seed in range(runs)]
    found = [best.rate / QUEUES[kind][1] for levels in searches if (best := search.found(levels, slo).attained)]
    return {
        "served": kind,
        "slo": text,
        "requests": times * objective.requests_for(slo),
        "highest_utilization": round(limit, 4),
        "found": len(found),
        "above": sum(rate > limit for rate in found),
        "far_above": sum(rate > search.PRECISION * limit for rate in found),
        "mean_of_highest": round(fmean(found) / limit, 4) if found else None,
        "mean_levels": round(fmean(map(len, searches)), 2),
    }


def evidence(runs: int = RUNS) -> dict:
    """All that is published."""
    return {"runs": runs, "rows": [row(kind, *case, runs) for case, kind in itertools.product(CASES, QUEUES)]}


if __name__ == "__main__":
    sys.exit(command("slo", __doc__, EVIDENCE, evidence))
