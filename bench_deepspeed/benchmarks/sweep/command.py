"""`bench.sh sweep`: measure, draw the figures, and report what failed."""

from __future__ import annotations

from collections import Counter
from functools import partial

from bench_deepspeed.benchmarks.common import run_log
from bench_deepspeed.benchmarks.common.evidence import close
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, utc_now
from bench_deepspeed.core import paths, progress_bars
from bench_deepspeed.core.errors import BenchError, ImpossibleError, QualityError
from bench_deepspeed.core.folder_lock import hold
from bench_deepspeed.core.json_files import file_to_resume
from bench_deepspeed.machine import environment
from bench_deepspeed.report import svg, terminal

from . import answers, charts, plan, view
from .kind import KIND
from .measure import SweepRun
from .records import FILE, SweepResult

GO_ON = "to go on: bench.sh sweep --resume {}"


def run(options) -> int:
    """Measure, or with --resume go on measuring, a sweep. Returns the exit code.

    Raises BenchError at the end when scenarios failed, ImpossibleError when one was beyond the device's limits.
    """
    if options.resume is not None:
        saved = file_to_resume(options.resume, FILE)
        place, file = saved.parent, saved.name
        hold(place)  # before it is read: another process may still be writing it
        result = plan.resumed(saved)
        plan.settings_of(options, result.settings)
        host = environment.host_facts()
        now = {name: value for name, value in host.facts.items() if name in plan.COMPARED}
        plan.require_same(result.environment.facts, now, "the environment's")
    else:
        result = plan.new_result(plan.settings_of(options))
        place, file = options.output_dir / result.settings.model, FILE
        host = environment.host_facts()
    result.started_at.append(utc_now())
    settings = {"log": "performance.log", "new": options.resume is None, "where": GO_ON}
    recorder = RunFolder(place, file, result, close=partial(close, KIND), **settings)
    with recorder:
        with progress_bars.Bars(leave=False) as bars:
            recorder.write_log(*run_log.facts("setting", vars(result.settings)))
            result.environment = result.environment.resumed(host)
            SweepRun(recorder, options.models_dir, bars, view).measure()
        unchecked = answers.check(recorder, options) if result.settings.quality else []
    _close(recorder)
    if options.fail_on_quality:
        _require_quality(result, unchecked)
    return 0


def _require_quality(result: SweepResult, unchecked: list[str]) -> None:
    """Raise QualityError for answers outside their noise floor, BenchError for those that were not checked."""
    if outside := [f"{found.engine} {found.precision}" for found in result.quality if found.ok is False]:
        raise QualityError(f"outside the noise floor: {', '.join(outside)}")
    if unchecked:
        raise BenchError(f"the answers were not checked, as reported above: {', '.join(unchecked)}")


def _close(recorder: RunFolder[SweepResult]) -> None:
    """Draw the figures and list the files; raise for what failed."""
    result = recorder.result
    print("\n" + terminal.render(view.after(result)))
    drawn = svg.write(recorder.folder, charts.drawn(result))
    for what, path in [("\nresult", recorder.path), *(("figure", path) for path in drawn), ("log", recorder.log_path)]:
        print(f"{what}  {paths.shown(path)}")
    counts = Counter(scenario.status for scenario in result.scenarios)
    total = f"of {len(result.scenarios)} scenarios"
    if counts["impossible"]:
        reason = next(s.reason for s in result.scenarios if s.status == "impossible")
        raise ImpossibleError(
            f"{counts['impossible']} {total} beyond this device's limits or not computed; the first: {reason}"
        )
    if counts["failed"]:
        raise BenchError(f"{counts['failed']} {total} failed, as reported above")
