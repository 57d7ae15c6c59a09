"""The measuring of a self-test: the suite's clock against bare loops.

First the fake engine, whose latency is known, through the whole harness; then a real engine, twice. Nested: the
suite's clock, and within the same generation one around the library's call alone, so that the engine's own noise is
the same in both. Interleaved: in one worker process generations are timed by the suite (A) and by a bare loop around
the library's call (B), in the order ABBA, so that a steady drift cancels out of each such block.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.common.prepare import prepare
from bench_deepspeed.benchmarks.common.run_folder import RunFolder
from bench_deepspeed.core import progress_bars
from bench_deepspeed.engines.base import Load
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.weights.needed import want_of
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess
from bench_deepspeed.worker.state import Worker

from .blocks import TimedBlock, interleaved, nested
from .records import ClockComparison, SelfTest

LIMIT = 0.005  # the suite's share of a time, at most
ERROR = 0.05  # probability that an interval leaves out the true median, over all looks together
FIRST_LOOK = 8  # blocks; an interval at half of ERROR exists from 7 on
WARMUPS = 2  # blocks
KNOWN_S = (0.02, 0.05, 0.1)
KNOWN_BUDGET_S = 20  # of each of them at most; an idle machine needs a few


def add_comparison(recorder: RunFolder[SelfTest], comparison: ClockComparison) -> None:
    """Append a comparison to the result, and save it."""
    recorder.result.comparisons.append(comparison)
    recorder.save()


def known_latency(
    seconds: float, budget_s: int, scenario: Scenario, folder: Path, bars: progress_bars.Bars
) -> ClockComparison:
    """The fake engine, set to take that time."""
    behaviour = json.dumps({"seconds": [seconds]})
    name = f"known latency {seconds * 1000:.0f} ms"
    with WorkerProcess(folder / "worker.log", bars.progress, BENCH_FAKE=behaviour) as worker:
        settings = Load(None, "cpu", "float32", worker.log_folder, [scenario.prompt], scenario.max_tokens)
        worker.load("fake", settings)
        return compare(_blocks(worker, scenario, interleaved), name, budget_s, bars.progress, known_s=seconds)


def real_engine(scenario: Scenario, options, recorder: RunFolder[SelfTest], bars: progress_bars.Bars) -> None:
    """The scenario's engine and model, nested and interleaved."""
    start_worker = partial(WorkerProcess, recorder.folder / "worker.log", bars.progress)
    places = {"models_dir": options.models_dir, "worker": start_worker, "bars": bars, "device": scenario.device}
    model_folder = prepare({}, scenario.model, want_of(scenario), **places)
    name = f"{scenario.engine}, {scenario.model}"
    with start_worker() as worker:
        with bars.spinner("loading the engine"):
            where = (scenario.device, scenario.precision, worker.log_folder)
            settings = Load(model_folder, *where, [scenario.prompt], scenario.max_tokens)
            worker.load(scenario.engine, settings)
        if model_folder:
            torch_facts = worker.call(tasks.torch_facts, scenario.device)
            recorder.result.environment = recorder.result.environment.updated(torch_facts)
        for timed, how in ((nested, "nested"), (interleaved, "in turn")):
            blocks = _blocks(worker, scenario, timed)
            add_comparison(recorder, compare(blocks, f"{name}, {how}", options.budget, bars.progress))


def _blocks(
    process: WorkerProcess, scenario: Scenario, timed: Callable[[Worker, str, int], TimedBlock]
) -> Iterator[TimedBlock]:
    """Blocks without end, warm from the first."""
    for number in range(10**9):
        block = process.call(timed, scenario.prompt, scenario.max_tokens)
        if number >= WARMUPS:
            yield block


def compare(
    blocks: Iterator[TimedBlock], name: str, budget_s: float, progress: Callable, known_s: float | None = None
) -> ClockComparison:
    """Take blocks until the interval decides or the budget is spent.

    Looking again and again would find a pass by chance, so the looks come when the blocks have doubled, and
    the k-th has the probability ERROR / 2^k to be wrong: ERROR in all (Boole's inequality).
    """
    started = reported = time.monotonic()
    harness_s, bare_s, ratios = [], [], []
    look, due = 1, FIRST_LOOK
    for block in blocks:
        harness_s += block.harness_s
        bare_s += block.bare_s
        ratios.append(block_ratio(block.harness_s, block.bare_s))
        now = time.monotonic()
        spent = now - started >= budget_s
        if now - reported >= 1:
            progress(name, min(int(now - started), int(budget_s)), int(budget_s))
            reported = now
        if len(ratios) < due and not spent:
            continue
        interval = median_interval(ratios, ERROR / 2**look)
        verdict = _verdict(interval, harness_s, known_s)
        if verdict != "not shown" or spent:
            break
        look, due = look + 1, 2 * due
    if reported > started:
        progress(name, int(budget_s), int(budget_s))
    low, high = interval or (None, None)
    return ClockComparison(name, known_s, harness_s, bare_s, statistics.median(ratios), low, high, verdict)


def block_ratio(harness_s: list[float], bare_s: list[float]) -> float:
    """Tokens/s of the harness over those of the bare loop: geometric means of the block's times, inverted.

    In the order ABBA a steady drift of the logarithm is the same in both.
    """
    return (math.prod(bare_s) / math.prod(harness_s)) ** (1 / len(bare_s))


def median_interval(values: list[float], error: float) -> tuple[float, float] | None:
    """An interval that leaves out the true median with a probability of `error` at most; None for too few.

    From the k-th smallest to the k-th largest value, whatever the distribution: it is left out when fewer
    than k of n values lie on one side of it, 2 P(B(n, 1/2) < k) (W. R. Thompson, 1936, the sign test's interval).
    """
    ordered = sorted(values)
    n, k = len(ordered), 0
    ways = below = 1  # of n fair coins: to show k heads, and to show k or fewer
    while 2 * below / 2**n <= error:
        ways = ways * (n - k) // (k + 1)
        k += 1
        below += ways
    return (ordered[k - 1], ordered[-k]) if k else None


def _verdict(interval: tuple[float, float] | None, harness_s: list[float], known_s: float | None) -> str:
    if known_s is not None and min(harness_s) < known_s:
        return "fail"  # a time below the known latency is impossible
    if interval is None:
        return "not shown"
    low, high = interval
    if low >= 1 - LIMIT and high <= 1 + LIMIT:
        return "pass"
    return "fail" if high < 1 - LIMIT or low > 1 + LIMIT else "not shown"
