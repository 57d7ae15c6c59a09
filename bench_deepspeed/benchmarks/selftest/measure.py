"""The measuring of a self-test: the suite's clock against bare loops.

First the fake engine, whose latency is known, through the whole harness; then a real engine, twice. Nested: the
suite's clock, and within the same generation one around the library's call alone, so that the engine's own noise is
the same in both. Interleaved: in one worker process generations are timed by the suite (A) and by a bare loop around
the library's call (B), in the order ABBA, so that a steady drift cancels out of each such block.
"""

from __future__ import annotations

import json
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

from . import verdict
from .blocks import interleaved, nested
from .records import INTERLEAVED, NESTED, ClockComparison, SelfTest, TimedBlock

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
        for timed, how in ((nested, NESTED), (interleaved, INTERLEAVED)):
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

    Looking again and again would find a pass by chance, so the looks come when the blocks have doubled; see `verdict`.
    """
    started = reported = time.monotonic()
    taken: list[TimedBlock] = []
    for block in blocks:
        taken.append(block)
        now = time.monotonic()
        spent = now - started >= budget_s
        if now - reported >= 1:
            progress(name, min(int(now - started), int(budget_s)), int(budget_s))
            reported = now
        if not spent and not verdict.is_look(len(taken)):
            continue
        comparison = verdict.comparison(name, known_s, taken)
        if comparison.verdict != "not shown" or spent:
            break
    if reported > started:
        progress(name, int(budget_s), int(budget_s))
    return comparison
