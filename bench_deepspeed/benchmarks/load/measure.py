"""The measuring of a load test: a target, and one level after the other, saved after each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench_deepspeed.benchmarks.common.prepare import prepare
from bench_deepspeed.benchmarks.common.run_folder import RunFolder
from bench_deepspeed.benchmarks.load.targets import target_class
from bench_deepspeed.benchmarks.load.targets.base import Setup
from bench_deepspeed.core.progress_bars import Bars, note_once
from bench_deepspeed.core.text import file_name, one_line
from bench_deepspeed.engines import engine_class
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.weights.needed import want_of
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from . import attainment, search, session
from .audit import require_same_answers
from .flags import levels_of
from .records import Level, LoadResult, Workload, level_name
from .saturation import judge, too_high
from .subject import server_of

LONGER = 3
"""A rate whose verdict is not "sustained" is measured again, so many times as long: a longer window shows more."""


class LoadTest:
    """Measures all levels and fills the recorder's result. `line` shows a level as soon as it is over."""

    def __init__(
        self,
        recorder: RunFolder[LoadResult],
        scenario: Scenario,
        options,
        workload: Workload,
        bars: Bars,
        *,
        line: Callable[[LoadResult, Level], str],
    ):
        self._recorder, self._scenario, self._workload, self._bars = recorder, scenario, workload, bars
        self._line = line
        self.result = recorder.result
        self._models_dir, self._port, self._tokenizer = options.models_dir, options.port, options.tokenizer
        self._server = server_of(options)
        self._target = target_class(options.target)
        self._levels = [] if options.slo else levels_of(options, scenario.device)
        self._attained: dict[float, bool] = {}
        """Of a search: rate → whether its level attained the objective."""
        self._first_rate = options.rates[0] if options.slo and options.rates else None

    def run(self) -> None:
        """Every level, until a rate is not sustained, or a search is over.

        After a failed request the target is started again.
        """
        model_folder = self._tokenizer and self._tokenizer.absolute() if self._server else self._prepared()
        while True:
            with self._worker() as worker:
                with self._bars.spinner(f"starting {self._target.name}"):
                    self._open(worker, model_folder)
                healthy = True
                while healthy and (load := self._next()):
                    healthy = self._measure(worker, *load)
            if self._next() is None:
                return

    def _next(self) -> tuple[int | None, float | None] | None:
        """The load to hold next, as (clients, requests a second); None where all is done."""
        done = self.result.levels
        if self.result.slo is None:
            return None if self.result.stopped or len(done) == len(self._levels) else self._levels[len(done)]
        first = self._first_rate or search.first_rate(self.result.target["alone_s"])
        rate = search.next_rate(self._attained, first)
        return None if rate is None else (None, rate)

    def _measure(self, worker: WorkerProcess, clients: int | None, rate: float | None) -> bool:
        """Hold a load and add it to the levels. Returns whether the target is as before; notes what follows for others.

        A rate whose verdict is open is held again, for longer, and that is kept instead.
        """
        level = self._hold(worker, clients, rate)
        self.result.levels.append(level)
        self._checked(level)
        if rate is not None and _is_healthy(level) and self._is_open(level):
            level = self._hold(worker, clients, rate, LONGER)
            self.result.levels[-1] = level
            self._checked(level)
        if rate is not None and self.result.slo is not None:
            self._attained[rate] = attainment.judge(level, self.result.slo).state == "attained"
        elif rate is not None and (reason := too_high(level)):
            self.result.stopped = f"{level.name}: {reason}"
        return self._target.sound_after_failure or _is_healthy(level)

    def _checked(self, level: Level) -> None:
        """Save what was measured. Raises ImpossibleError where its answers are others than alone."""
        self._recorder.save()
        require_same_answers(level)

    def _is_open(self, level: Level) -> bool:
        """Whether a longer window may decide: about the objective, or that the rate is sustained."""
        if self.result.slo is not None:
            return attainment.judge(level, self.result.slo).promising
        verdict = judge(level)
        return verdict.piled is not None and verdict.state != "sustained"

    def _prepared(self) -> Path | None:
        """The folder of the model's weights, made ready; None for a target without a model."""
        folder = prepare(
            self.result.model,
            self._scenario.model,
            want_of(self._scenario),
            models_dir=self._models_dir,
            worker=self._worker,
            bars=self._bars,
            device=self._scenario.device,
        )
        if not folder:
            self.result.model = {"title": "no model"}
        return folder

    def _hold(self, worker: WorkerProcess, clients: int | None, rate: float | None, times: int = 1) -> Level:
        seconds, requests = times * self._workload.seconds, times * self._workload.requests
        with self._bars.spinner(f"{level_name(clients, rate)}, {seconds:g} s"):
            level = worker.call(session.hold_level, clients, rate, seconds, requests)
        self._bars.note(self._line(self.result, level))
        return level

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self._recorder.folder / "worker.log", self._bars.progress)

    def _open(self, worker: WorkerProcess, model_folder: Path | None) -> None:
        workload, scenario = self._workload, self._scenario
        if listens := self._target.listens or (not self._server and engine_class(scenario.engine).listens):
            note_once(listens)
        setup = Setup(
            scenario.engine,
            model_folder,
            scenario.device,
            scenario.precision,
            worker.log_folder,
            max_tokens=workload.max_tokens or 0,
            timeout_s=workload.timeout_s,
            port=self._port,
            server=self._server,
            tensor_parallel=scenario.tensor_parallel,
        )
        self.result.target |= worker.call(session.open_target, self._target.name, setup, workload)
        if self._server:
            served = one_line(str(self.result.target["model"]))
            title = Path(served).name if Path(served).is_absolute() else served  # a path may hold a user's name
            self.result.model = {"name": file_name(title), "title": title}
        elif model_folder:
            torch_facts = worker.call(tasks.torch_facts, scenario.device)
            self.result.environment = self.result.environment.updated(torch_facts)


def _is_healthy(level: Level) -> bool:
    return all(record.error is None for record in level.records)
