"""The passes: each is measured once, in separate generations after the timed ones.

A pass that fails leaves its metric "not measured", logs why, and leaves the earlier measurements valid.
"""

from __future__ import annotations

from collections.abc import Callable

from bench_deepspeed.benchmarks.common.run_folder import RunFolder
from bench_deepspeed.core import progress_bars
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.engines import engine_class
from bench_deepspeed.measure.records import Result
from bench_deepspeed.worker import latency, tasks
from bench_deepspeed.worker.client import WorkerProcess

Recorder = RunFolder[Result]
ENERGY_S = 3.0  # NVML renews its counter about every 100 ms: its error is then about 3%, of each part

Take = Callable[[Recorder, WorkerProcess], None]
"""Fills its part of the recorder's result."""


def _memory(recorder: Recorder, worker: WorkerProcess) -> None:
    scenario = recorder.result.scenario
    recorder.result.memory = worker.call(tasks.measure_memory, scenario.prompt, scenario.max_tokens)


def _energy(recorder: Recorder, worker: WorkerProcess) -> None:
    scenario = recorder.result.scenario
    recorder.result.energy = worker.call(tasks.measure_energy, scenario.prompt, scenario.max_tokens, ENERGY_S)


def _prefill(recorder: Recorder, worker: WorkerProcess) -> None:
    scenario, tokens, repetitions = recorder.result.scenario, latency.PREFILL_TOKENS, latency.PASS_REPETITIONS
    measured = worker.call(tasks.measure_prefill, scenario.prompt, tokens, repetitions, scenario.seed)
    recorder.result.prefill = measured


def _latency(recorder: Recorder, worker: WorkerProcess) -> None:
    prompt, max_tokens = recorder.result.scenario.prompt, recorder.result.scenario.max_tokens
    recorder.result.latency = worker.call(tasks.measure_latency, prompt, max_tokens, latency.PASS_REPETITIONS)


def _profile(recorder: Recorder, worker: WorkerProcess) -> None:
    result = recorder.result
    scenario = result.scenario
    result.profiles = worker.call(tasks.profile, scenario.prompt, scenario.max_tokens, result.prefill)


# In this order: the profiler, which leaves its mark on a process, comes last.
IN_EVERY_PROCESS = {"memory": _memory, "energy": _energy, "prefill": _prefill}
STREAMED = {"latency": _latency}
PROFILED = {"profile": _profile}


def in_process(recorder: Recorder, worker: WorkerProcess, bars: progress_bars.Bars) -> None:
    """The passes on the engine that has made the timed repetitions."""
    engine = engine_class(recorder.result.scenario.engine)
    streamed = {} if _streams_apart(recorder) else STREAMED
    _take({**IN_EVERY_PROCESS, **streamed, **(PROFILED if engine.profiled else {})}, recorder, worker, bars)


def in_own_process(recorder: Recorder, load: Callable[[WorkerProcess], object], bars: progress_bars.Bars) -> None:
    """The passes on an engine that streams only where it was loaded for that; `load` loads it."""
    if not _streams_apart(recorder):
        return

    def loaded(recorder: Recorder, worker: WorkerProcess) -> None:
        load(worker)
        _latency(recorder, worker)

    with WorkerProcess(recorder.folder / "worker.log", bars.progress) as worker:
        _take({"latency": loaded}, recorder, worker, bars)


def _streams_apart(recorder: Recorder) -> bool:
    """Whether the engine streams in a process of its own; on several ranks it does not stream at all."""
    scenario = recorder.result.scenario
    return engine_class(scenario.engine).streams_in_own_process and scenario.tensor_parallel == 1


def _take(passes: dict[str, Take], recorder: Recorder, worker: WorkerProcess, bars: progress_bars.Bars) -> None:
    names = list(passes)
    for done, name in enumerate(names):
        try:
            with bars.spinner(f"measuring {name}"):
                passes[name](recorder, worker)
        except BenchError as error:
            # Not the others either: an engine that failed once may answer the next call with the rest of this one.
            recorder.note(f"{', '.join(names[done:])} not measured: {error}", bars)
            return
        recorder.save()
