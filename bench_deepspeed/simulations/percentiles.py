"""How often the 95% interval of a percentile of latency covers it, and how often the percentile is withheld.

    python -m bench_deepspeed.simulations.percentiles [--check]

Latencies are independent (exponential), or those of the queues of `saturation` in virtual time, whose requests wait
for one another. The truth is the percentile of one much longer series. The table shows the load test's own intervals
next to those that take all requests for independent.
"""

from __future__ import annotations

import sys

from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.measure.percentiles import Percentile, of_worth, percentiles
from bench_deepspeed.simulations import command

from .saturation import QUEUES

EVIDENCE = RESULTS / "simulations" / "percentiles.json"
TRIALS = 100
PERCENTS = (50, 90, 99)
REQUESTS = 1000
LONG = 100_000
BEFORE = 1000
"""Requests that are left out: a queue begins empty."""
INDEPENDENT = "independent"
CASES = ((INDEPENDENT, 0.0), *((kind, u) for kind in ("16 at once", "sharing 16") for u in (0.5, 0.8, 0.9)))


def latencies(kind: str, utilization: float, count: int, seed: int) -> list[float]:
    """So many latencies in their order, in services; to the microsecond, which is how they are kept."""
    import numpy

    rng = numpy.random.default_rng([seed, count])
    if kind == INDEPENDENT:
        return rng.exponential(size=count).tolist()
    serve, servers = QUEUES[kind]
    arrivals = numpy.cumsum(rng.exponential(1 / (utilization * servers), size=BEFORE + count)).tolist()
    spans = zip(serve(arrivals, servers), arrivals, strict=True)
    return [round(end - due, 6) for end, due in spans][BEFORE:]


def _holds(found: Percentile, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def study(kind: str, utilization: float, requests: int, trials: int) -> dict:
    """Of so many series: how many show each percentile, how many of these hold it, and how many would of all."""
    import numpy

    truth = dict(zip(PERCENTS, numpy.percentile(latencies(kind, utilization, LONG, 0), PERCENTS), strict=True))
    counts = {percent: {"shown": 0, "held": 0, "held_as_independent": 0} for percent in PERCENTS}
    for seed in range(1, trials + 1):
        values = latencies(kind, utilization, requests, seed)
        for percent, found in percentiles(values, PERCENTS).items():
            of_percent, true = counts[int(percent)], round(float(truth[int(percent)]), 6)
            of_percent["shown"] += found.value is not None
            of_percent["held"] += _holds(found, true)
            of_percent["held_as_independent"] += _holds(of_worth(sorted(values), percent, requests), true)
    return {"latencies": kind, "utilization": utilization, "percentiles": {str(p): counts[p] for p in PERCENTS}}


def evidence(trials: int = TRIALS) -> dict:
    """All that is published."""
    rows = [study(kind, utilization, REQUESTS, trials) for kind, utilization in CASES]
    return {"trials": trials, "requests": REQUESTS, "rows": rows}


if __name__ == "__main__":
    sys.exit(command("percentiles", __doc__, EVIDENCE, evidence))
