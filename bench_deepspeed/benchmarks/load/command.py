"""`bench.sh load`: hold each level, and print the table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.common.evidence import close
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, utc_now
from bench_deepspeed.benchmarks.load.targets import target_class
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import BenchError, named
from bench_deepspeed.core.progress_bars import Bars, note_once
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.report import svg, terminal

from . import charts, objective, view
from .arrivals import p99_cost
from .kind import KIND
from .labels import model_title
from .level_statistics import needed_s, unmeasured
from .measure import LoadTest
from .records import FILE, SUBFOLDER, LoadResult, Workload
from .workload import workload_of

KEPT = ("model", "engine", "device", "precision", "weights", "seed", "tensor_parallel")
"""What of a scenario a result keeps."""


def run(scenario: Scenario, options) -> int:
    """Hold each level and print the table. Returns the exit code.

    Raises BenchError when requests failed, and when no level was measured, which is a test that failed. What was
    measured is in load.json whatever happens: it is rewritten after each level.
    """
    workload = workload_of(scenario, options)
    others = [_saved(path) for path in options.beside]
    result = _opened(scenario, options, workload)
    if not options.trace:
        cost = p99_cost(options.rates or [], options.p99, workload.burstiness)
        note_once(wrapped(objective.cost(options.slo) if options.slo else cost, columns()))
    place = options.output_dir / scenario.model / SUBFOLDER
    with RunFolder(place, FILE, result, close=partial(close, KIND)) as recorder:
        with Bars() as bars:
            result.environment = environment.host_facts()
            try:
                LoadTest(recorder, scenario, options, workload, bars, line=view.line).run()
            except KeyboardInterrupt:
                _show_interrupted(result)
                raise
        print(terminal.render(view.view(result)))
        _require_measured(result)
    chart = charts.latency(model_title(result), [result, *others])
    drawn = svg.write(recorder.folder, {"load": chart}) if chart else []
    for what, path in [("\nload", recorder.path), *(("plot", path) for path in drawn)]:
        print(f"{what}    {paths.shown(path)}")
    failed = sum(record.error is not None for level in result.levels for record in level.records)
    if failed:
        raise BenchError(f"{failed} requests failed; their latencies are infinite in the percentiles")
    return 0


def _show_interrupted(result: LoadResult) -> None:
    """Print the levels that were complete when a signal came; the answers of each were checked."""
    if not all(map(unmeasured, result.levels)):
        print(terminal.render(view.view(result)), flush=True)


def _require_measured(result: LoadResult) -> None:
    """Raises BenchError, which gives the test its status, where no level has statistics."""
    if all(map(unmeasured, result.levels)):
        slowest = max(result.levels, key=needed_s)
        raise BenchError(f"no level was measured: {slowest.name}: {unmeasured(slowest)}")


def _saved(path: Path) -> LoadResult:
    """A saved load test. Raises UsageError for another file."""
    with named(path):
        return LoadResult.load(path)


def _opened(scenario: Scenario, options, workload: Workload) -> LoadResult:
    """A load test that has not begun."""
    target, slo = target_class(options.target), options.slo
    sla = {"ttft_s": options.sla_ttft, "tpot_s": options.sla_tpot, "e2e_s": None}
    return LoadResult(
        scenario={key: getattr(scenario, key) for key in KEPT},
        target={"name": target.name, "summary": target.summary, "service": target.service},
        workload=_kept(workload),
        sla=objective.sla_of(slo.terms) if slo else sla,
        slo=slo,
        gpus=options.gpus,
        gpu_hour=options.gpu_hour,
        started_at=utc_now(),
    )


def _kept(workload: Workload) -> dict:
    """A workload as it is published: of files, only how many requests they held."""
    files = ("trace", "trace_blocks", "prompts", "answers")
    kept = {key: value for key, value in vars(workload).items() if key not in files}
    return kept | {"trace_requests": _size(workload.trace), "prompts": _size(workload.prompts)}


def _size(values: list | None) -> int | None:
    return None if values is None else len(values)
