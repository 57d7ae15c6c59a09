"""`bench.sh run`: measure one scenario, print its table, and check its answers."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.common import run_log
from bench_deepspeed.benchmarks.common.evidence import close
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, utc_now
from bench_deepspeed.benchmarks.quality.command import check_quality
from bench_deepspeed.core import paths, progress_bars
from bench_deepspeed.core.errors import BenchError, ImpossibleError, UsageError
from bench_deepspeed.machine import environment
from bench_deepspeed.measure import plausibility, warnings
from bench_deepspeed.measure.records import Result, Scenario
from bench_deepspeed.report import terminal

from . import profile, quality_check, view
from .kind import FILE, KIND
from .measure import device_limits, measure

NEXT = """\
next    bench.sh report --format html --output page.html FILE
        bench.sh compare FILE FILE
        bench.sh results"""
"""What can be done with the file of a result."""


def run(scenario: Scenario, options) -> int:
    """Measure a scenario and print its table. Returns the exit code.

    The samples are in result.json however the run ends: the file is rewritten after each repetition.
    """
    with_quality = quality_check.is_wanted(scenario, options)
    result = Result(scenario, started_at=utc_now())
    log_file = options.log_file.absolute() if options.log_file else "performance.log"
    recorder = RunFolder(options.output_dir / scenario.model, FILE, result, log=log_file, close=partial(close, KIND))
    with recorder, progress_bars.Bars() as bars:
        result.environment = environment.host_facts()
        recorder.write_log(
            *run_log.facts("setting", vars(scenario)), *run_log.facts("environment", result.environment.facts)
        )
        try:
            measure(recorder, options, bars)
        except KeyboardInterrupt:
            _show_interrupted(result)
            raise
        recorder.save()
        plausibility.require_possible(result, lambda: device_limits(recorder, bars))
        result.warnings = [dataclasses.asdict(finding) for finding in warnings.check(result)]
        recorder.write_log(*view.log_lines(result))
    print(terminal.render(view.view(result)))
    print(f"\nresult  {paths.shown(recorder.path)}\nlog     {paths.shown(recorder.log_path)}")
    print(NEXT)
    if result.profiles:
        profile.write(recorder.folder, result.profiles, view.title(result))
    if result.void_count:
        raise BenchError(
            f"{result.void_count} of {sum(len(r.samples) for r in result.runs)} repetitions are void: "
            f"the engine did not make {scenario.max_tokens} tokens"
        )
    if with_quality:
        _check_quality(scenario, options, recorder.folder)
    return 0


def _show_interrupted(result: Result) -> None:
    """Print what was measured until a signal came; no speed that is beyond the device's limits."""
    if not result.valid_samples:
        return
    try:
        KIND.require_possible(result)
    except ImpossibleError as error:
        progress_bars.note_once(f"no speed is shown: {error}")
    else:
        print(terminal.render(view.view(result)), flush=True)


def _check_quality(scenario: Scenario, options, folder: Path) -> None:
    """Check the answers. If the check cannot run, the measurement stays valid."""
    try:
        check_quality(scenario, options, folder, (scenario.precision,), new=False)
    except BenchError as error:
        if options.fail_on_quality or isinstance(error, UsageError):
            raise
        progress_bars.note_once(f"quality not checked: {error}")
