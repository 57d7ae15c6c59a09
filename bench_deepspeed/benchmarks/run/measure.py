"""Measures one scenario: processes that load, warm up and repeat, then the passes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.common import run_log
from bench_deepspeed.benchmarks.common.check_timed import check_timed
from bench_deepspeed.benchmarks.common.limits import measure_limits
from bench_deepspeed.benchmarks.common.loading import record_loading
from bench_deepspeed.benchmarks.common.prepare import prepare
from bench_deepspeed.benchmarks.common.prompts import timed_prompts
from bench_deepspeed.core import progress_bars
from bench_deepspeed.core.text import engine_title, model_title
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load
from bench_deepspeed.measure.records import Limits, Result, Run, Sample, Scenario
from bench_deepspeed.measure.speed import speed_interval
from bench_deepspeed.measure.stopping import enough, repetitions, warm_ups, warmed
from bench_deepspeed.weights.needed import want_of
from bench_deepspeed.worker import latency, tasks
from bench_deepspeed.worker.client import WorkerProcess
from bench_deepspeed.worker.tasks import Loaded

from . import passes
from .passes import Recorder


def measure(recorder: Recorder, options, bars: progress_bars.Bars) -> None:
    """Fill the recorder's result: weights in one worker process, then the engine in one after the other.

    What is measured once, apart from the speed, is measured in the last of them.
    """
    result, ended = recorder.result, None
    start_worker = partial(_worker, recorder, bars)
    places = {"models_dir": options.models_dir, "worker": start_worker, "bars": bars}
    name, want, device = result.scenario.model, want_of(result.scenario), result.scenario.device
    ranks = result.scenario.tensor_parallel
    model_folder = prepare(result.model, name, want, device=device, ranks=ranks, **places)
    started, left = time.monotonic(), _countdown(result.scenario, options)
    while ended is None:
        with start_worker() as worker:
            sound = _timed(recorder, worker, model_folder, bars)
            ended = enough(result, time.monotonic() - started, leave_out=options.processes is None)
            if ended:
                recorder.note(ended, bars)
                if not result.scenario.quick:
                    recorder.note(_speed(result), bars)
                    if sound:
                        passes.in_process(recorder, worker, bars)
        if ended is None:
            bars.remaining(left)
    if not result.scenario.quick:
        _measure_more(recorder, bars, model_folder)


def _countdown(scenario: Scenario, options) -> progress_bars.Countdown:
    """The time budget ends the processes where the user set no number of them."""
    budget_s = scenario.time_budget_s if options.processes is None else None
    return progress_bars.Countdown("processes", scenario.processes, budget_s)


def _measure_more(recorder: Recorder, bars: progress_bars.Bars, model_folder: Path | None) -> None:
    """The passes in separate processes: the device's limits, and the stream of an engine that is loaded for it."""
    result = recorder.result
    if engine_class(result.scenario.engine).reads_weights():
        result.limits = device_limits(recorder, bars)
    passes.in_own_process(recorder, lambda worker: _load(worker, result.scenario, model_folder, streaming=True), bars)


def _speed(result: Result) -> str:
    """The speed in one line, as soon as it is known: what follows may take minutes."""
    interval, scenario = speed_interval(result), result.scenario
    if interval is None:
        return "no repetition is valid"
    bounds = "" if interval.low is None else f" [{interval.low:.2f}, {interval.high:.2f}]"
    model = model_title(scenario.model, scenario.weights, scenario.engine)
    engine = engine_title(scenario.engine, scenario.tensor_parallel)
    return f"{model} {engine} {scenario.precision}: {interval.mean:.2f}{bounds} tokens/s"


def _timed(recorder: Recorder, worker: WorkerProcess, model_folder: Path | None, bars: progress_bars.Bars) -> bool:
    """One process: load, warm up, repeat, check. Returns whether its engine can be used for more.

    The caller's work on a sample is done before the next one starts.
    """
    result = recorder.result
    scenario, run = result.scenario, Run()
    result.runs.append(run)
    name = f"process {len(result.runs)}"
    with bars.spinner(f"{name}: loading the engine"):
        loaded = _load(worker, scenario, model_folder)
    record_loading(result, run, loaded)
    torch_facts = worker.call(tasks.torch_facts, scenario.device)
    result.environment = result.environment.updated(torch_facts)
    recorder.write_log(run_log.loaded(name, loaded))
    recorder.save()

    warming, timed = timed_prompts(worker, scenario, run)

    def after(prompts: Iterator[str]) -> Sample:
        return worker.call(tasks.generate, next(prompts), scenario.max_tokens)

    with bars.counter(f"{name}: warming up", scenario.warmups) as advance:
        for sample in warm_ups(partial(after, warming), run, scenario.warmups):
            recorder.write_log(run_log.generated("warm-up", len(run.warmups), scenario.warmups, sample))
            advance(f"{sample.tokens_per_s:.1f} tokens/s")
    if scenario.warmups is None:
        recorder.note(f"{name}: {warmed(run)}", bars)
    with bars.counter(f"{name}: measuring", scenario.repetitions) as advance:
        for sample in repetitions(partial(after, timed), run, scenario.repetitions):
            recorder.save()
            recorder.write_log(run_log.generated("repetition", len(run.samples), scenario.repetitions, sample))
            advance(f"{sample.tokens_per_s:.1f} tokens/s")
    if scenario.quick:
        recorder.note(f"{_speed(result)}; now the tokens that were timed are checked", bars)
    sound = check_timed(recorder, worker, result, name, bars)
    recorder.save()
    return sound


def device_limits(recorder: Recorder, bars: progress_bars.Bars) -> Limits:
    """Measure the device's limits, in a process of its own. Raises MachineError where it cannot be used."""
    scenario = recorder.result.scenario
    start_worker = partial(_worker, recorder, bars)
    return measure_limits(scenario.device, scenario.cell.compute, start_worker, bars, scenario.tensor_parallel)


def _worker(recorder: Recorder, bars: progress_bars.Bars) -> WorkerProcess:
    return WorkerProcess(recorder.folder / "worker.log", bars.progress)


def _load(worker: WorkerProcess, scenario: Scenario, model_folder: Path | None, streaming: bool = False) -> Loaded:
    settings = Load(
        model_folder,
        scenario.device,
        scenario.precision,
        worker.log_folder,
        prompts=[scenario.prompt],
        max_tokens=scenario.max_tokens,
        reserve_tokens=latency.RESERVE_TOKENS,
        streaming=streaming,
        tensor_parallel=scenario.tensor_parallel,
    )
    return worker.load(scenario.engine, settings)
