"""How often a level is called saturated, at which share of what a target can bear.

    python -m bench_deepspeed.simulations.saturation [--check]

Queues in virtual time: Poisson arrivals, every service as long as any other (M/D/1), or 16 at once (M/D/16).
`utilization` is the rate over the highest that could be borne: below 1 a queue settles in the end, above it never does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys

from ..load.arrivals import poisson
from ..load.generator import Window
from ..load.records import Level, Record
from ..load.saturation import judge
from ..paths import RESULTS
from ..reports import console
from ..schema import write_json

EVIDENCE = RESULTS / "simulations" / "saturation.json"
RUNS = 300
UTILIZATIONS = (0.5, 0.8, 0.9, 1.1, 1.2, 1.5)
KINDS = ((1, 100), (1, 1000), (16, 100), (16, 1000))
"""Servers, and services that they together can give in the window."""


def queue(utilization: float, servers: int, services: int, seed: int) -> Level:
    """A level against a queue whose every service takes one second."""
    window, rate = Window.of(services / servers), utilization * servers
    free, records = [0.0] * servers, []
    for due_s in itertools.takewhile(lambda due_s: due_s < window.stop_s, poisson(rate, seed)):
        server = free.index(min(free))
        start = max(due_s, free[server])
        free[server] = start + 1.0
        records.append(Record(due_s, due_s, start + 0.5, start + 1.0, 1, 2, 2, 0.5, None))
    return Level(None, rate, (window.start_s, window.end_s), 0, {}, 0.0, servers, records)


def saturated(utilization: float, servers: int, services: int, runs: int = RUNS) -> int:
    """How many of so many levels are called saturated."""
    return sum(judge(queue(utilization, servers, services, seed)).saturated for seed in range(runs))


def evidence(runs: int = RUNS) -> dict:
    """All that is published."""
    rows = [
        {
            "servers": servers,
            "services": services,
            "saturated": [saturated(u, servers, services, runs) for u in UTILIZATIONS],
        }
        for servers, services in KINDS
    ]
    return {"runs": runs, "utilizations": UTILIZATIONS, "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench_deepspeed.simulations.saturation", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the evidence differs")
    options = parser.parse_args()
    found = json.loads(json.dumps(evidence()))
    print(console.simulation_table(found, "saturation"))
    if options.check:
        return int(json.loads(EVIDENCE.read_text(encoding="utf-8")) != found)
    write_json(EVIDENCE, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
