"""Up to which rate the load generator measures correctly: a server of known service time over loopback.

    python -m bench_deepspeed.simulations.load_generator [--seconds S] [--target openai]

A real server in a process of its own, real sockets and real clocks, so every run gives other numbers, and a busy
machine worse ones. The server answers as many requests at once as come, so each takes the known time; what is
measured beyond it is the generator's, the server's own and the system's.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench_deepspeed.benchmarks.load.latency import e2e, ttft
from bench_deepspeed.benchmarks.load.level_statistics import due_in_window, statistics_of
from bench_deepspeed.benchmarks.load.records import Level, Workload
from bench_deepspeed.benchmarks.load.session import Session
from bench_deepspeed.benchmarks.load.targets.base import Server, Setup
from bench_deepspeed.core.json_files import write_json
from bench_deepspeed.core.paths import RESULTS, ROOT
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.statistics import percentile

from . import view

EVIDENCE = {
    "stub": RESULTS / "simulations" / "load_generator.json",
    "openai": RESULTS / "simulations" / "load_openai.json",
}
"""Target → the file of its evidence: a thread a request, and tasks of an event loop over HTTP."""
TOKENS = 9
RATES = (10.0, 50.0, 100.0, 200.0, 400.0, 600.0, 800.0, 1000.0)
SHORT = {"first_s": 0.02, "gap_s": 0.01}
LONG = {"first_s": 0.2, "gap_s": 0.6}
"""Its requests take 5 s: at 1,000 requests/s 5,000 of them are open at once."""
Passes = tuple[tuple[dict[str, float], tuple[float, ...]], ...]
PASSES: dict[str, Passes] = {
    "stub": ((SHORT, RATES),),
    "openai": ((SHORT, RATES), (LONG, RATES[-1:])),
}
"""Target → the servers, each with the rates that it is sent. A thread a request is for at most 1,000 at once."""
TOLERANCE = 0.02
SLA = {"ttft_s": None, "tpot_s": None}


def e2e_s(service: dict[str, float]) -> float:
    """How long a server takes for one request, in seconds."""
    return service["first_s"] + (TOKENS - 1) * service["gap_s"]


def row_of(level: Level, service: dict[str, float]) -> dict:
    """One rate: the median and the 99th percentile of E2E and TTFT over the known ones, minus one.

    They are those of these very requests, each of which has a known latency: no interval is inferred from them.
    """
    statistics, due = statistics_of(level, SLA), due_in_window(level)
    errors = {
        f"{name}_p{p}_error": round(percentile(list(map(latency, due)), p) / known - 1, 5)
        for name, latency, known in (("e2e", e2e, e2e_s(service)), ("ttft", ttft, service["first_s"]))
        for p in (50, 99)
    }
    return {
        **service,
        "tokens": TOKENS,
        "e2e_s": round(e2e_s(service), 6),
        "rate": level.rate,
        "requests": statistics.due,
        "failed": statistics.failed,
        **errors,
        "lag_p99_s": round(statistics.lag_p99_s, 6),
        "cpu_share": level.generator_cpu_share,
        "most_in_flight": level.most_in_flight,
        "right": statistics.failed == 0 and all(abs(errors[f"e2e_{p}_error"]) <= TOLERANCE for p in ("p50", "p99")),
    }


@contextlib.contextmanager
def _server(target: str, service: dict[str, float]) -> Iterator[Server | None]:
    """A server of known service time, where the target does not start it itself."""
    os.environ["BENCH_STUB"] = json.dumps(service)
    if target == "stub":
        yield None
        return
    command = [sys.executable, "-m", "bench_deepspeed.simulations.openai_stub", "0", json.dumps(service)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", "completions")
        finally:
            process.kill()


def _rows(target: str, service: dict[str, float], rates: tuple[float, ...], seconds: float) -> list[dict]:
    """The rates, one after the other, against one server."""
    workload = Workload(32, TOKENS, 0.0, seconds, 30.0, 0)
    with tempfile.TemporaryDirectory() as folder, _server(target, service) as server:
        setup = Setup("fake", None, "cpu", "float32", Path(folder), TOKENS, workload.timeout_s, server=server)
        session = Session(target, setup, workload, lambda label, done, total: None)
        try:
            session.warm_up()
            return [row_of(session.level(None, rate, seconds), service) for rate in rates]
        finally:
            session.close()


def evidence(seconds: float, target: str, passes: Passes) -> dict:
    """All rates of all servers. `seconds` is each rate's window."""
    rows = [row for service, rates in passes for row in _rows(target, service, rates, seconds)]
    facts = environment.host_facts().facts
    right = [row["rate"] for row in itertools.takewhile(lambda row: row["right"], rows)]
    return {
        "measured_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "environment": {key: facts[key] for key in ("python", "system", "cpu", "cpu_count", "load_average_1min")},
        "target": target,
        "seconds": seconds,
        "tolerance": TOLERANCE,
        "highest_right_rate": max(right, default=None),
        "rows": rows,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench_deepspeed.simulations.load_generator", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each rate's window (default: %(default)s)")
    parser.add_argument("--target", choices=EVIDENCE, default="stub", help="what sends (default: %(default)s)")
    options = parser.parse_args()
    content, path = evidence(options.seconds, options.target, PASSES[options.target]), EVIDENCE[options.target]
    print(view.simulation_table(content, path.stem))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
