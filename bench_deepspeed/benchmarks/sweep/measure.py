"""Measures a sweep: processes of each engine in each precision, in a random order, scenario after scenario.

A worker ends with a scenario that fails, since an engine that raised once may return wrong results. The sweep
continues in a fresh one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.common import run_log, tensor_parallel
from bench_deepspeed.benchmarks.common.limits import measure_limits
from bench_deepspeed.benchmarks.common.prepare import prepare
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, without_paths
from bench_deepspeed.core import progress_bars
from bench_deepspeed.core.capabilities import compute_of
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.text import engine_title
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load
from bench_deepspeed.measure.records import best_of
from bench_deepspeed.measure.stopping import MIN_WARMUPS
from bench_deepspeed.model import catalog
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from . import batches, derived, plan, records
from .records import SweepLoad, SweepResult, SweepScenario, Visit


class _FailedError(Exception):
    """Leaves the block of a worker that failed: it is then ended, and does not close an engine that may hang."""

    def __init__(self, scenarios: list[SweepScenario], reason: str, suspect: SweepScenario | None = None):
        super().__init__(reason)
        self.scenarios, self.reason, self.suspect = list(scenarios), reason, suspect


class Rows(Protocol):
    """How a sweep is shown while it is measured: the lines above its rows, and each row."""

    def head(self, sweep: SweepResult) -> list[str]:
        """The lines above the rows."""

    def line(self, sweep: SweepResult, scenario: SweepScenario) -> str:
        """One row, as soon as its scenario is done."""


class SweepRun:
    """The measuring itself; the recorder's result is filled."""

    def __init__(self, recorder: RunFolder[SweepResult], models_dir: Path, bars: progress_bars.Bars, rows: Rows):
        self.recorder, self.models_dir, self.bars, self.rows = recorder, models_dir, bars, rows
        self.result = recorder.result
        self.settings = recorder.result.settings
        self.spec = catalog.load(self.settings.model)

    def measure(self) -> None:
        """Refuse impossible scenarios, then measure all pending ones, one process after the other in the random
        order."""
        free_bytes = self._look_at_device()
        self.recorder.save()
        for text in self.rows.head(self.result):
            self.bars.row(text)
        for scenario in self.result.scenarios:
            if scenario.status == "pending":
                scenario.reason = plan.refusal(self.spec, self.settings, scenario, free_bytes)
                scenario.status = "refused" if scenario.reason else "pending"
            self._show(scenario)
        self.recorder.save()
        visits = [visit for visit in self.result.order if plan.to_measure(self.result, visit)]
        left = progress_bars.Countdown("processes", len(visits))
        for visit in visits:
            self._measure_visit(visit)
            self.bars.remaining(left)

    def _look_at_device(self) -> int | None:
        """Record the device and its limits, while no engine is loaded. Returns its free bytes.

        None where no engine reads weights: nothing will be on the device.
        """
        device, saved = self.settings.device, self.result.environment
        engines = [engine_class(name) for name in self.settings.engines]
        if all(e.form is None and not e.reads_weights() for e in engines):
            return None
        with self._worker() as worker, self.bars.spinner("looking at the device"):
            free_bytes = worker.call(tasks.free_bytes, device)
            torch_facts = worker.call(tasks.torch_facts, device)
            now = {name: value for name, value in torch_facts.facts.items() if name == "gpu_used"}
            plan.require_same(saved.facts, now, "the")
            self.result.environment = saved.updated(torch_facts)
        for scenario in self.result.scenarios:
            self._measure_limits(scenario)
        return free_bytes

    def _measure_limits(self, scenario: SweepScenario) -> None:
        """Measure the limits of a scenario's devices, where it could be held against them and they are not known."""
        key, compute = self.result.limits_key(scenario), scenario.cell(self.settings.device).compute
        ranks, device = self.result.devices(scenario), self.settings.device
        bounded = compute in plan.computes(self.settings) and not tensor_parallel.lacking(
            device, scenario.engine, scenario.tensor_parallel
        )
        if bounded and key not in self.result.limits:
            self.result.limits[key] = measure_limits(device, compute, self._worker, self.bars, ranks)

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self.recorder.folder / "worker.log", self.bars.progress)

    def _measure_visit(self, visit: Visit) -> None:
        """One process's scenarios: one worker, and another after each that fails."""
        pending = plan.to_measure(self.result, visit)
        if not pending:
            return
        engine, precision, ranks = visit.key
        if len(self.result.order) > 1:
            name = f"process {visit.process} of {self.settings.processes}"
            self.recorder.note(f"{name}: {engine_title(engine, ranks)} in {precision}", self.bars)
        folder = self._prepare(engine, precision)
        while pending:
            suspect = None
            try:
                with self._worker() as worker:
                    self._load(worker, visit, folder, pending)
                    suspect = self._measure_pending(worker, pending)
            except _FailedError as failure:
                suspect = failure.suspect
                for scenario in failure.scenarios:
                    pending.remove(scenario)
                    self._end(scenario, "failed", failure.reason)
            if suspect is not None:
                self._judge_again(suspect)

    def _prepare(self, engine: str, precision: str) -> Path | None:
        """Have the weights made ready. Returns their folder, None for an engine without any."""
        form = engine_class(engine).form
        compute = compute_of(engine, self.settings.device, precision)
        want = weights.Want(self.settings.weights, form, compute, self.settings.seed) if form else None
        model: dict = {}
        folder = prepare(model, self.spec.name, want, models_dir=self.models_dir, worker=self._worker, bars=self.bars)
        if want:
            plan.require_same(self.result.model, {"digest": model["digest"]}, "the model's")
        self.result.model |= model
        return folder

    def _load(self, worker: WorkerProcess, visit: Visit, folder: Path | None, pending: list) -> None:
        engine, precision, ranks = visit.key
        try:
            with self.bars.spinner(f"loading {engine_title(engine, ranks)} in {precision}"):
                settings = Load(
                    folder,
                    self.settings.device,
                    precision,
                    worker.log_folder,
                    prompts=[],
                    max_tokens=max(scenario.tokens for scenario in pending),
                    batches=tuple((scenario.batch_size, scenario.tokens) for scenario in pending),
                    tensor_parallel=ranks,
                )
                loaded = worker.load(engine, settings)
        except BenchError as error:  # what fails to load once, fails again
            raise _FailedError(pending, f"loading the engine: {error}") from error
        times = (loaded.load_s, loaded.kernel_build_s)
        self.result.loads.append(SweepLoad(engine, precision, *times, loaded.engine, loaded.compile_s, ranks))
        self.recorder.write_log(run_log.loaded(records.load_title(*visit.key), loaded))

    def _measure_pending(self, worker: WorkerProcess, pending: list[SweepScenario]) -> SweepScenario | None:
        """Measure one after the other until none is left, or one is beyond the limits: that one is returned."""
        warmups = max(self.settings.warmups, MIN_WARMUPS)  # the first of a process finds it cold
        while pending:
            scenario, suspect = pending[0], None
            failed = self._measure_scenario(worker, scenario, warmups)
            pending.remove(scenario)
            if wrong := derived.wrong_answers(scenario, self.settings.device):
                self._end(scenario, "impossible", wrong)
            elif derived.excess(self.result, scenario):
                suspect = scenario
            else:
                self._settle(scenario)
            if failed:
                raise _FailedError([], "the check after a batch raised an error", suspect)
            if suspect:
                return suspect
            warmups = self.settings.warmups
        return None

    def _measure_scenario(self, worker: WorkerProcess, scenario: SweepScenario, warmups: int) -> bool:
        """Measure one in this process. Returns whether its checks, which are not timed, raised an error."""
        try:
            times = worker.call(
                batches.measure,
                batch_size=scenario.batch_size,
                prompt_tokens=scenario.prompt_tokens,
                max_tokens=scenario.max_tokens,
                warmups=warmups,
                repetitions=self.settings.repetitions,
                seed=self.settings.seed,
                with_memory=scenario.memory is None,
            )
        except BenchError as error:
            raise _FailedError([scenario], str(error)) from error
        scenario.warmups = scenario.warmups or warmups
        scenario.prefill += times.prefill
        scenario.total += times.total
        scenario.check, scenario.memory = times.check, scenario.memory or times.memory
        scenario.rounds.append(len(times.total))
        self.recorder.write_log(f"measured {len(scenario.rounds)} of {self.settings.processes}: {scenario.title()}")
        return times.failed

    def _judge_again(self, scenario: SweepScenario) -> None:
        """Limits measured while others used the machine are too low: they are measured again, and the better count."""
        key, device = self.result.limits_key(scenario), self.settings.device
        compute, ranks = scenario.cell(device).compute, self.result.devices(scenario)
        again = measure_limits(device, compute, self._worker, self.bars, ranks)
        self.result.limits[key] = best_of(self.result.limits[key], again)
        excess = derived.excess(self.result, scenario)
        if excess:
            self._end(scenario, "impossible", excess)
        else:
            self._settle(scenario)

    def _settle(self, scenario: SweepScenario) -> None:
        """A process has measured a scenario: it is complete when all have."""
        if len(scenario.rounds) >= self.settings.processes:
            self._end(scenario, "complete")
        else:
            self.recorder.save()

    def _end(self, scenario: SweepScenario, status: str, reason: str | None = None) -> None:
        """A scenario is done: save it, and show its row."""
        scenario.status = status
        scenario.reason = reason and without_paths(reason, self.recorder.folder)
        self.recorder.save()
        self._show(scenario)

    def _show(self, scenario: SweepScenario) -> None:
        """Show the row of a scenario that is done, and log it."""
        if scenario.status == "pending":
            return
        row = self.rows.line(self.result, scenario)
        self.bars.row(row)
        self.recorder.write_log(row)
        if scenario.reason:
            self.recorder.write_log(f"{scenario.status}: {scenario.title()}: {scenario.reason}")
