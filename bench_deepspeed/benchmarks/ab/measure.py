"""Measures a comparison: pair after pair of processes, loaded at once, with interleaved generations.

What is measured is in ab.json as soon as a round is over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import os
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.common import run_log
from bench_deepspeed.benchmarks.common.check_timed import check_timed
from bench_deepspeed.benchmarks.common.limits import measure_limits
from bench_deepspeed.benchmarks.common.loading import record_loading
from bench_deepspeed.benchmarks.common.prepare import LABEL, prepare
from bench_deepspeed.benchmarks.common.prompts import timed_prompts
from bench_deepspeed.benchmarks.common.run_folder import RunFolder
from bench_deepspeed.core import progress_bars
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import counted, wrapped
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load
from bench_deepspeed.machine import environment
from bench_deepspeed.machine.host import SHORTEST_S
from bench_deepspeed.measure import plausibility
from bench_deepspeed.measure.power import MIN_PAIRS, detectable
from bench_deepspeed.measure.records import Limits, Run, Sample
from bench_deepspeed.measure.stopping import target_met, warmed
from bench_deepspeed.weights.needed import want_of
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from . import estimate, rounds
from .detect import Search
from .flags import EXPENSIVE_LOAD_S, EXPENSIVE_PAIRS
from .noise import power_text
from .plan import Plan, Side, refusal
from .records import SIDES, AbResult, Round

Workers = dict[str, WorkerProcess]
Prompts = dict[str, Iterator[str]]
"""Side → the prompts of its generations."""


@contextlib.contextmanager
def _named(side: str) -> Iterator[None]:
    """Say which side failed."""
    try:
        yield
    except BenchError as error:
        raise type(error)(f"{side}: {error}") from error


class PairedMeasurement:
    """The measuring itself; the recorder's result is filled."""

    def __init__(self, recorder: RunFolder[AbResult], plan: Plan, models_dir: Path, bars: progress_bars.Bars):
        self.recorder, self.plan, self.models_dir, self.bars = recorder, plan, models_dir, bars
        self.result = recorder.result
        self.scenario = self.result.a.scenario
        self.search = None if plan.detect is None else Search(plan.detect, self.scenario.processes)

    def measure(self) -> None:
        """Pairs until there are enough. Raises MachineError where both do not fit at once."""
        host = environment.host_facts()
        for side, result in self.result.sides.items():
            result.environment = host
            settings = run_log.facts("setting", vars(result.scenario))
            self.recorder.write_log(f"configuration {side}: {self.result.asked[side]}", *settings)
            self.recorder.write_log(*run_log.facts("environment", host.facts))
        folders = {name: self._prepare(side) for name, side in self.plan.sides.items()}
        self._require_room()
        started, ended = time.monotonic(), None
        left = progress_bars.Countdown("pairs", self.scenario.processes)
        while ended is None:
            self._measure_pair(folders)
            ended = self._enough(time.monotonic() - started)
            if ended is None:
                self.bars.remaining(left)
                self._note_power()
        self.result.stopped = ended
        self.recorder.note(ended, self.bars)

    def _worker(self, side: str, **variables: str) -> WorkerProcess:
        configuration = self.plan.sides[side]
        log = self.recorder.folder / f"worker-{side.lower()}.log"
        return WorkerProcess(log, self.bars.progress, configuration.python, **{**variables, **configuration.variables})

    def _prepare(self, side: Side) -> Path | None:
        """Have a side's weights made ready. Returns their folder, None for an engine without any."""
        model, worker = self.result.sides[side.name].model, partial(self._worker, side.name)
        name, want, label = side.scenario.model, want_of(side.scenario), f"{side.name}: {LABEL}"
        return prepare(
            model,
            name,
            want,
            models_dir=self.models_dir,
            worker=worker,
            bars=self.bars,
            label=label,
            device=side.scenario.device,
            ranks=side.scenario.tensor_parallel,
        )

    def _require_room(self) -> None:
        """Refuse configurations that do not fit into memory, before anything is loaded."""
        if all(engine_class(side.scenario.engine).form is None for side in self.plan.sides.values()):
            return
        with self._worker("A") as worker, self.bars.spinner("looking for memory"):
            free_bytes = worker.call(tasks.free_bytes, self.plan.device)
        if reason := refusal(self.plan, free_bytes):
            raise MachineError(f"{reason}; compare by two runs of `bench.sh run`, or with a smaller model")

    def _measure_pair(self, folders: dict[str, Path | None]) -> None:
        number = len(self.result.rounds) + 1
        name = f"pair {number}"
        runs = {side: Run() for side in SIDES}
        with contextlib.ExitStack() as stack:
            workers = {side: stack.enter_context(self._worker(side, **self._kernels(side))) for side in SIDES}
            self._load(workers, runs, folders, name)
            for side, result in self.result.sides.items():
                result.runs.append(runs[side])
            self.result.rounds.append([])
            prompts = {s: timed_prompts(workers[s], self.result.sides[s].scenario, runs[s]) for s in SIDES}
            self._warm_up(workers, runs, {side: warming for side, (warming, _) in prompts.items()}, name)
            orders = rounds.orders(self.scenario.repetitions, self.scenario.seed, number)
            self._rounds(workers, runs, {side: timed for side, (_, timed) in prompts.items()}, orders, name)
            for side, worker in workers.items():
                check_timed(self.recorder, worker, self.result.sides[side], f"{name}, {side}", self.bars)
            self.recorder.save()

    def _kernels(self, side: str) -> dict[str, str]:
        """Another Python may have another version of what is compiled: its kernels go to a folder of their own."""
        python = self.plan.sides[side].python
        if python is None:
            return {}
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        name = hashlib.sha256(python.encode()).hexdigest()[:16]
        return {"TORCH_EXTENSIONS_DIR": str(caches / "bench_deepspeed" / f"kernels-{name}")}

    def _load(self, workers: Workers, runs: dict[str, Run], folders: dict[str, Path | None], name: str) -> None:
        """Load both at the same time; nothing is timed meanwhile."""
        loading = {}
        for side, worker in workers.items():
            scenario = self.plan.sides[side].scenario
            settings = Load(
                folders[side],
                scenario.device,
                scenario.precision,
                _logs(worker.log_folder, side, scenario.tensor_parallel),
                [scenario.prompt],
                scenario.max_tokens,
                tensor_parallel=scenario.tensor_parallel,
            )
            loading[side] = worker.send_load(scenario.engine, settings)
        for side, worker in workers.items():
            with self.bars.spinner(f"{name}: loading A and B"), _named(side):
                loaded = loading[side].result()
                result = self.result.sides[side]
                record_loading(result, runs[side], loaded)
                result.environment = result.environment.updated(worker.call(tasks.software))
                if folders[side]:  # torch is loaded then
                    torch_facts = worker.call(tasks.torch_facts, result.scenario.device)
                    result.environment = result.environment.updated(torch_facts)
            self.recorder.write_log(run_log.loaded(f"{name}, {side}", loaded))

    def _warm_up(self, workers: Workers, runs: dict[str, Run], prompts: Prompts, name: str) -> None:
        generate = {side: partial(self._generate, workers, prompts, side) for side in SIDES}
        count = self.scenario.warmups
        with self.bars.counter(f"{name}: warming up", count and 2 * count) as advance:
            for side, sample in rounds.warm_up(generate, runs, count):
                number = len(runs[side].warmups)
                self.recorder.write_log(run_log.generated(f"{name}, {side}: warm-up", number, count, sample))
                advance(f"{side} {sample.tokens_per_s:.1f} tokens/s")
        if count is None:
            steadiness = ", ".join(f"{side} {warmed(runs[side])}" for side in SIDES)
            self.recorder.note(f"{name}: {steadiness}", self.bars)

    def _rounds(self, workers: Workers, runs: dict[str, Run], prompts: Prompts, orders: list[str], name: str) -> None:
        idle: dict[str, float | None] = {}

        def timed(side: str) -> Sample:
            other = SIDES.replace(side, "")
            busy_s, started = workers[other].cpu_s(), time.perf_counter()
            sample = self._generate(workers, prompts, side)
            passed = time.perf_counter() - started
            busy_s = workers[other].cpu_s() - busy_s
            idle[other] = round(busy_s / passed, 4) if passed >= SHORTEST_S else None
            return sample

        generate = {side: partial(timed, side) for side in SIDES}
        with self.bars.counter(f"{name}: measuring", len(orders)) as advance:
            for number, order in enumerate(orders, start=1):
                samples = rounds.time_round(order, generate)
                rounds.keep_round(samples, runs)
                self.result.rounds[-1].append(Round(order, {side: idle[side] for side in SIDES}))
                self.recorder.save()
                for side in order:
                    which = f"{name}, {side}: round"
                    self.recorder.write_log(run_log.generated(which, number, len(orders), samples[side]))
                advance(" ".join(f"{side} {samples[side].tokens_per_s:.1f}" for side in SIDES) + " tokens/s")

    def _generate(self, workers: Workers, prompts: Prompts, side: str) -> Sample:
        with _named(side):
            sample = workers[side].call(tasks.generate, next(prompts[side]), self.scenario.max_tokens)
            return _without_partner(sample)

    def _enough(self, elapsed_s: float) -> str | None:
        """Why no further pair follows; None while one does."""
        if self.search is not None:
            return self.search.ended(estimate.log_ratios(self.result))
        n, wanted = len(self.result.rounds), self.scenario.processes
        ready_s = max(_ready_s(result.runs[-1]) for result in self.result.sides.values())
        expensive = self.plan.pairs_left_open and ready_s > EXPENSIVE_LOAD_S
        if n < (min(wanted, EXPENSIVE_PAIRS) if expensive else wanted):
            return None
        done = f"{counted(n, 'pair')} of processes"
        if self.scenario.target_ci is not None:
            logs = estimate.log_ratios(self.result)
            if not any(logs):
                return f"{done}: no round is valid, so there is no interval to narrow"
            return target_met(self.scenario, done, n, lambda count: _half_width(logs[: max(count, 0)]), elapsed_s)
        if n < wanted:
            return (
                f"{done}, since loading the last took {ready_s:.0f} s: --processes {wanted} measures the others as well"
            )
        return f"{done}, as requested"

    def _note_power(self) -> None:
        """After the first pairs, what all that are planned can show by the spread of these."""
        means = [statistics.fmean(pair) for pair in estimate.log_ratios(self.result) if pair]
        if len(self.result.rounds) != MIN_PAIRS or len(means) < MIN_PAIRS:
            return
        spread, pairs = statistics.stdev(means), self.search.planned if self.search else self.scenario.processes
        pairs = max(pairs, len(means) + 1)
        shown = power_text(pairs, self.scenario.repetitions, detectable(spread / math.sqrt(pairs), pairs - 1))
        text = f"{shown}, by the first {MIN_PAIRS} pairs, which differ by {spread:.1%}"
        say_power(text, self.recorder, self.bars)

    def require_possible(self) -> None:
        """Hold both against the device's limits, measured now that nothing is loaded; see `plausibility`.

        Once for both where precision, ranks, Python and variables are the same.
        """
        measured: dict[tuple, Limits] = {}
        for side, result in self.result.sides.items():
            scenario, runs_in = result.scenario, self.plan.sides[side]
            if not engine_class(scenario.engine).reads_weights():
                continue
            device = (scenario.cell.compute, scenario.tensor_parallel)
            how = (*device, runs_in.python, *sorted(runs_in.variables.items()))
            with _named(side):
                result.limits = measured[how] = measured.get(how) or self._limits(side)
                self.recorder.save()
                plausibility.require_possible(result, partial(self._limits, side))

    def _limits(self, side: str) -> Limits:
        scenario = self.result.sides[side].scenario
        start_worker, ranks = partial(self._worker, side), scenario.tensor_parallel
        return measure_limits(scenario.device, scenario.cell.compute, start_worker, self.bars, ranks)


def say_power(text: str, recorder: RunFolder[AbResult], bars: progress_bars.Bars) -> None:
    """What the pairs can show, into the log and in lines that fit the terminal."""
    recorder.write_log(f"power: {text}")
    bars.note(wrapped(f"power: {text}", columns(), 7 * " "))


def _logs(folder: Path, side: str, ranks: int) -> Path:
    """Where an engine's own logs go. Those of several ranks are called alike on both sides, so each has a folder."""
    if ranks == 1:
        return folder
    own = folder / f"ranks-{side.lower()}"
    own.mkdir(exist_ok=True)
    return own


def _ready_s(run: Run) -> float:
    """Seconds from a process's start of loading until it can generate, those of building and compiling included."""
    return (run.load_s or 0.0) + (run.kernel_build_s or 0.0) + (run.compile_s or 0.0)


def _half_width(logs: list[list[float]]) -> float:
    ratio = estimate.ratio(logs)
    return math.inf if ratio is None else ratio.half_width


def _without_partner(sample: Sample) -> Sample:
    """A reading without the other side's process, which waits on the same GPU."""
    reading = sample.reading
    if reading is None or not reading.other_gpu_processes:
        return sample
    others = reading.other_gpu_processes - 1
    return dataclasses.replace(sample, reading=dataclasses.replace(reading, other_gpu_processes=others))
