"""Up to which rate the load generator measures correctly: a server of known service time over loopback.

    python -m bench_deepspeed.simulations.load_generator [--seconds S] [--target openai]

A real server in a process of its own, real sockets and real clocks, so every run gives other numbers, and a busy
machine worse ones. The server answers as many requests at once as come. Of the stub each takes the known time, and what
is measured beyond it is the generator's, the server's own and the system's. For `openai` it is the referee's server,
on a CPU of its own, whose log has what each request took.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.benchmarks.load.latency import e2e, ttft
from bench_deepspeed.benchmarks.load.level_statistics import due_in_window, statistics_of
from bench_deepspeed.benchmarks.load.prompts import NUMBERS_A_LEVEL
from bench_deepspeed.benchmarks.load.records import Level, Workload
from bench_deepspeed.benchmarks.load.session import Session
from bench_deepspeed.benchmarks.load.targets.base import Server, Setup
from bench_deepspeed.benchmarks.referee.log import Log, Served, first_by_word, lags
from bench_deepspeed.benchmarks.referee.processes import ServerProcess, split_cpus
from bench_deepspeed.benchmarks.referee.schedule import Behaviour
from bench_deepspeed.core.json_files import write_json
from bench_deepspeed.core.paths import RESULTS
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


@dataclass(frozen=True)
class Service:
    """How long a server takes to the first token, and from each token to the next, in seconds."""

    first_s: float
    gap_s: float

    @property
    def e2e_s(self) -> float:
        return self.first_s + (TOKENS - 1) * self.gap_s


SHORT = Service(0.02, 0.01)
LONG = Service(0.2, 0.6)
"""Its requests take 5 s: at 1,000 requests/s 5,000 of them are open at once."""
Passes = tuple[tuple[Service, tuple[float, ...]], ...]
PASSES: dict[str, Passes] = {
    "stub": ((SHORT, RATES),),
    "openai": ((SHORT, RATES), (LONG, RATES[-1:])),
}
"""Target → the servers, each with the rates that it is sent. A thread a request is for at most 1,000 at once."""
TOLERANCE = 0.02
SLA = {"ttft_s": None, "tpot_s": None}


@dataclass(frozen=True)
class Known:
    """What the requests of a level took at the server, in seconds, and how late it was with its 99th percentile."""

    e2e_s: Sequence[float]
    ttft_s: Sequence[float]
    server_lag_p99_s: float | None = None

    @classmethod
    def of_log(cls, log: Log, level: Level, number: int) -> Known:
        """From the server's log. `number` counts the levels from 1: prompts begin with it."""
        start_s, end_s = level.window_s
        by_prompt = first_by_word(log.requests)  # some are sent again afterwards, alone
        served: list[Served] = [
            by_prompt[str(number * NUMBERS_A_LEVEL + place)]
            for place, record in enumerate(level.records)
            if start_s <= record.due_s < end_s and record.error is None
        ]
        return cls(
            [request.writes[-1].before_s - request.received_s for request in served],
            [request.writes[0].before_s - request.received_s for request in served],
            round(percentile(lags(served), 99), 6),
        )


def row_of(level: Level, service: Service, known: Known) -> dict:
    """One rate: the median and the 99th percentile of E2E and TTFT over the known ones, minus one.

    They are those of these very requests, each of which has a known latency: no interval is inferred from them.
    """
    statistics, due = statistics_of(level, SLA), due_in_window(level)
    errors = {
        f"{name}_p{p}_error": round(percentile(list(map(latency, due)), p) / percentile(list(truth), p) - 1, 5)
        for name, latency, truth in (("e2e", e2e, known.e2e_s), ("ttft", ttft, known.ttft_s))
        for p in (50, 99)
    }
    return {
        **vars(service),
        "tokens": TOKENS,
        "e2e_s": round(service.e2e_s, 6),
        "rate": level.rate,
        "requests": statistics.due,
        "failed": statistics.failed,
        **errors,
        "lag_p99_s": round(statistics.lag_p99_s, 6),
        "server_lag_p99_s": known.server_lag_p99_s,
        "cpu_share": level.generator_cpu_share,
        "most_in_flight": level.most_in_flight,
        "right": statistics.failed == 0 and all(abs(errors[f"e2e_{p}_error"]) <= TOLERANCE for p in ("p50", "p99")),
    }


@contextlib.contextmanager
def _on(cpus: Iterable[int]) -> Iterator[None]:
    """This process on some CPUs within the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _levels(target: str, server: Server | None, rates: tuple[float, ...], seconds: float, folder: Path) -> list[Level]:
    """The rates, one after the other."""
    workload = Workload(32, TOKENS, 0.0, seconds, 30.0, 0)
    setup = Setup("fake", None, "cpu", "float32", folder, TOKENS, workload.timeout_s, server=server)
    session = Session(target, setup, workload, lambda label, done, total: None)
    try:
        session.warm_up()
        return [session.level(None, rate, seconds) for rate in rates]
    finally:
        session.close()


def _rows_of_stub(service: Service, rates: tuple[float, ...], seconds: float, folder: Path) -> list[dict]:
    """Of the stub, which the target starts: its times are those that it was given."""
    os.environ["BENCH_STUB"] = json.dumps(vars(service))
    known = Known([service.e2e_s], [service.first_s])
    return [row_of(level, service, known) for level in _levels("stub", None, rates, seconds, folder)]


def _rows_of_openai(service: Service, rates: tuple[float, ...], seconds: float, folder: Path) -> list[dict]:
    """Of the referee's server: its times are those of its log."""
    own, others = split_cpus()
    with ServerProcess(Behaviour(**vars(service), spread=0.0), 0, folder, own, lambda _: None) as process, _on(others):
        server = Server(f"http://127.0.0.1:{process.port}/v1", "completions")
        levels = _levels("openai", server, rates, seconds, folder)
        log = process.log()
    return [row_of(level, service, Known.of_log(log, level, number)) for number, level in enumerate(levels, 1)]


ROWS = {"stub": _rows_of_stub, "openai": _rows_of_openai}


def evidence(seconds: float, target: str, passes: Passes) -> dict:
    """All rates of all servers. `seconds` is each rate's window."""
    rows = []
    for service, rates in passes:
        with tempfile.TemporaryDirectory() as folder:
            rows.extend(ROWS[target](service, rates, seconds, Path(folder)))
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
