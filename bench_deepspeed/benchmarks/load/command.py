"""`bench.sh load` from beginning to end: weights ready, a target, one level after the other, saved after each."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.benchmarks.common.prepare import prepare
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, utc_now
from bench_deepspeed.benchmarks.load.targets import target_class
from bench_deepspeed.benchmarks.load.targets.base import Setup
from bench_deepspeed.benchmarks.quality import questions
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.progress_bars import Bars, note_once
from bench_deepspeed.engines import engine_class
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.report import svg, terminal
from bench_deepspeed.weights.needed import want_of
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from . import charts, session, view
from .arrivals import read_trace
from .flags import CLIENTS, MAX_TOKENS, PROMPT_TOKENS, SECONDS
from .labels import model_title
from .level_statistics import due_in_window, needed_s, unmeasured
from .records import FILE, Level, LoadResult, Workload, level_name
from .saturation import COMPLETED, judge

LONGER = 3
"""A rate that seems too high is held again, so many times as long: a load that settles slowly seems so at first."""


def run(scenario: Scenario, options) -> int:
    """Hold each level and print the table. Returns the exit code; raises BenchError when requests failed.

    What was measured is in load.json whatever happens: it is rewritten after each level.
    """
    workload = workload_of(scenario, options)
    beside = [LoadResult.load(path) for path in options.beside]
    result = _opened(scenario, options, workload)
    with RunFolder(options.output_dir / scenario.model / "load", FILE, result) as recorder, Bars() as bars:
        result.environment = environment.host_facts()
        LoadTest(recorder, scenario, options, workload, bars).run()
    print(terminal.render(view.view(result)))
    chart = charts.latency(model_title(result), [result, *beside])
    drawn = svg.write(recorder.folder, {"load": chart}) if chart else []
    for what, path in [("\nload", recorder.path), *(("plot", path) for path in drawn)]:
        print(f"{what}    {paths.shown(path)}")
    failed = sum(record.error is not None for level in result.levels for record in level.records)
    if failed:
        raise BenchError(f"{failed} requests failed; they are in no statistic of latency")
    if all(map(unmeasured, result.levels)):
        slowest = max(result.levels, key=needed_s)
        raise BenchError(f"no level was measured: {slowest.name}: {unmeasured(slowest)}")
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


def _opened(scenario: Scenario, options, workload: Workload) -> LoadResult:
    """A load test that has not begun."""
    target = target_class(options.target)
    return LoadResult(
        scenario={key: getattr(scenario, key) for key in ("model", "engine", "device", "precision", "weights", "seed")},
        target={"name": target.name, "summary": target.summary, "service": target.service},
        workload=_kept(workload),
        sla={"ttft_s": options.sla_ttft, "tpot_s": options.sla_tpot},
        started_at=utc_now(),
    )


class LoadTest:
    """The levels that there are to be; the recorder's result is filled."""

    def __init__(self, recorder: RunFolder[LoadResult], scenario: Scenario, options, workload: Workload, bars: Bars):
        self._recorder, self._scenario, self._workload, self._bars = recorder, scenario, workload, bars
        self.result = recorder.result
        self._models_dir, self._port = options.models_dir, options.port
        self._target = target_class(options.target)
        clients = options.clients or ([] if options.rates or options.trace else CLIENTS[scenario.device])
        self._levels: list[tuple[int | None, float | None]] = [(number, None) for number in clients]
        self._levels += [(None, rate) for rate in options.rates or []] + ([(None, None)] if options.trace else [])

    def run(self) -> None:
        """Every level, until a rate cannot be borne. After a failed request the target is started anew."""
        waiting, want = list(self._levels), want_of(self._scenario)
        places = {"models_dir": self._models_dir, "worker": self._worker, "bars": self._bars}
        model_folder = prepare(self.result.model, self._scenario.model, want, **places)
        if not model_folder:
            self.result.model = {"title": "no model"}
        while waiting:
            with self._worker() as worker:
                with self._bars.spinner(f"starting {self._target.name}"):
                    self._open(worker, model_folder)
                healthy = True
                while waiting and healthy:
                    level = self._hold(worker, *waiting.pop(0), self._workload.seconds)
                    self.result.levels.append(level)
                    self._recorder.save()
                    healthy = _is_healthy(level)
                    reason = self._too_high(worker, level) if level.rate is not None else None
                    if reason is not None:
                        self.result.stopped = f"{level.name}: {reason}"
                        waiting = []

    def _too_high(self, worker: WorkerProcess, level: Level) -> str | None:
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
            again = self._hold(worker, None, level.rate, LONGER * self._workload.seconds)
            if _is_healthy(again):
                self.result.levels[-1], verdict = again, judge(again)
                self._recorder.save()
        return verdict.words if verdict.saturated else None

    def _hold(self, worker: WorkerProcess, clients: int | None, rate: float | None, seconds: float) -> Level:
        with self._bars.spinner(f"{level_name(clients, rate)}, {seconds:g} s"):
            level = worker.call(session.hold_level, clients, rate, seconds)
        self._bars.note(view.line(self.result, level))
        return level

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self._recorder.folder / "worker.log", self._bars.progress)

    def _open(self, worker: WorkerProcess, model_folder: Path | None) -> None:
        workload, scenario = self._workload, self._scenario
        if listens := self._target.listens or engine_class(scenario.engine).listens:
            note_once(listens)
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
