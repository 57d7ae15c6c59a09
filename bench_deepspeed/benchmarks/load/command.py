"""`bench.sh load` from beginning to end: weights ready, a target, one level after the other, saved after each."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.common.prepare import prepare
from bench_deepspeed.benchmarks.common.run_folder import finish, make_folder, tell_where, utc_now
from bench_deepspeed.benchmarks.load.targets import target_class
from bench_deepspeed.benchmarks.load.targets.base import Setup
from bench_deepspeed.benchmarks.quality import questions
from bench_deepspeed.core import paths, progress_bars
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from . import charts as report
from . import session
from . import view as load_view
from .arrivals import read_trace
from .flags import CLIENTS, MAX_TOKENS, PROMPT_TOKENS, SECONDS
from .metrics import due_in_window
from .records import Level, LoadResult, Workload, level_name
from .saturation import COMPLETED, judge

LONGER = 3
"""A rate that seems too high is held again, so many times as long: a load that settles slowly seems so at first."""


def run(scenario: Scenario, options) -> int:
    """Hold each level and print the table. Returns the exit code; raises BenchError when requests failed.

    What was measured is in load.json whatever happens: it is rewritten after each level.
    """
    workload = workload_of(scenario, options)
    beside = [LoadResult.load(path) for path in options.beside]
    folder = make_folder(options.output_dir / scenario.model / "load")
    test = LoadTest(scenario, options, workload, folder)
    with progress_bars.Bars() as bars, test.saved():
        test.run(bars)
    print(load_view.table(test.result))
    report.draw(folder, [test.result, *beside])
    print(f"\nload    {paths.shown(folder / 'load.json')}\nplot    {paths.shown(folder / 'load.svg')}")
    failed = sum(record.error is not None for level in test.result.levels for record in level.records)
    if failed:
        raise BenchError(f"{failed} requests failed; they are in no statistic of latency")
    return 0


def workload_of(scenario: Scenario, options) -> Workload:
    """What is sent, with the device's defaults. Raises UsageError for a file that is malformed, with its line."""
    trace = read_trace(options.trace) if options.trace else None
    prompts = questions.load(options.prompts, "--prompts").prompts if options.prompts else None
    of_file = trace is not None or prompts is not None
    device = scenario.device
    return Workload(
        prompt_tokens=None if of_file else options.prompt_tokens or PROMPT_TOKENS[device],
        max_tokens=None if trace else options.max_tokens or MAX_TOKENS[device],
        spread=options.spread,
        seconds=options.seconds or SECONDS[device],
        timeout_s=options.timeout,
        seed=scenario.seed,
        trace=trace,
        prompts=prompts,
    )


class LoadTest:
    """One run of the command: the result, its file, and the levels that there are to be."""

    def __init__(self, scenario: Scenario, options, workload: Workload, folder: Path):
        self._scenario, self._workload, self._folder = scenario, workload, folder
        self._models_dir, self._port = options.models_dir, options.port
        self._target = target_class(options.target)
        clients = options.clients or ([] if options.rates or options.trace else CLIENTS[scenario.device])
        self._levels: list[tuple[int | None, float | None]] = [(number, None) for number in clients]
        self._levels += [(None, rate) for rate in options.rates or []] + ([(None, None)] if options.trace else [])
        self.result = LoadResult(
            scenario={
                key: getattr(scenario, key) for key in ("model", "engine", "device", "precision", "weights", "seed")
            },
            target={"name": self._target.name, "summary": self._target.summary, "service": self._target.service},
            workload=_kept(workload),
            sla={"ttft_s": options.sla_ttft, "tpot_s": options.sla_tpot},
            started_at=utc_now(),
            environment=environment.host_facts(),
        )

    @contextlib.contextmanager
    def saved(self) -> Iterator[None]:
        """Give the result its status however the block ends."""
        self._save()
        try:
            yield
        finally:
            finish(self.result, sys.exc_info()[1], self._folder)
            self._save()
            tell_where(self.result, self._folder)

    def _save(self) -> None:
        try:
            self.result.save(self._folder / "load.json")
        except OSError as error:
            raise MachineError(f"cannot write to {self._folder}: {error.strerror}") from error

    def run(self, bars: progress_bars.Bars) -> None:
        """Every level, until a rate cannot be borne. After a failed request the target is started anew."""
        worker_of, waiting = partial(self._worker, bars), list(self._levels)
        model_folder = prepare(self.result.model, self._scenario, self._models_dir, worker_of, bars)
        if not model_folder:
            self.result.model = {"title": "no model"}
        while waiting:
            with worker_of() as worker:
                with bars.spinner(f"starting {self._target.name}"):
                    self._open(worker, model_folder)
                healthy = True
                while waiting and healthy:
                    level = self._hold(worker, *waiting.pop(0), self._workload.seconds, bars)
                    self.result.levels.append(level)
                    self._save()
                    healthy = _is_healthy(level)
                    reason = self._too_high(worker, level, bars) if level.rate is not None else None
                    if reason is not None:
                        self.result.stopped = f"{level.name}: {reason}"
                        waiting = []

    def _too_high(self, worker: WorkerProcess, level: Level, bars: progress_bars.Bars) -> str | None:
        """Why a rate cannot be borne; None where it can.

        One that seems too high is held again, for longer, and that is kept instead; but not where requests failed
        this time, since then it is too high for certain.
        """
        due = due_in_window(level)
        failed = sum(record.error is not None for record in due)
        if failed > (1 - COMPLETED) * len(due):
            return f"{failed} of {len(due)} requests failed"
        verdict = judge(level)
        if verdict.saturated and _is_healthy(level):
            again = self._hold(worker, None, level.rate, LONGER * self._workload.seconds, bars)
            if _is_healthy(again):
                self.result.levels[-1], verdict = again, judge(again)
                self._save()
        return verdict.words if verdict.saturated else None

    def _hold(
        self, worker: WorkerProcess, clients: int | None, rate: float | None, seconds: float, bars: progress_bars.Bars
    ) -> Level:
        with bars.spinner(f"{level_name(clients, rate)}, {seconds:g} s"):
            level = worker.call(session.hold_level, clients, rate, seconds)
        bars.note(load_view.line(level, self.result.sla))
        return level

    def _worker(self, bars: progress_bars.Bars) -> WorkerProcess:
        return WorkerProcess(self._folder / "worker.log", bars.progress)

    def _open(self, worker: WorkerProcess, model_folder: Path | None) -> None:
        workload, scenario = self._workload, self._scenario
        longest = max([workload.max_tokens or 0, *(row[2] for row in workload.trace or [])])
        setup = Setup(
            scenario.engine,
            model_folder,
            scenario.device,
            scenario.precision,
            worker.log_folder,
            max_tokens=longest,
            timeout_s=workload.timeout_s,
            port=self._port,
        )
        self.result.target |= worker.call(session.open_target, self._target.name, setup, workload)
        if model_folder:
            self.result.environment |= worker.call(tasks.torch_facts, scenario.device)


def _is_healthy(level: Level) -> bool:
    return all(record.error is None for record in level.records)


def _kept(workload: Workload) -> dict:
    """A workload as it is published: of files, only how many requests they held."""
    kept = {key: value for key, value in vars(workload).items() if key not in ("trace", "prompts")}
    return kept | {"trace_requests": _size(workload.trace), "prompts": _size(workload.prompts)}


def _size(values: list | None) -> int | None:
    return None if values is None else len(values)
