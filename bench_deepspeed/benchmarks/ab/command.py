"""`bench.sh ab`: compare two configurations, and print the table and the verdict."""

from __future__ import annotations

import dataclasses
from functools import partial

from bench_deepspeed.benchmarks.common.evidence import close
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, utc_now
from bench_deepspeed.core import paths, progress_bars
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped
from bench_deepspeed.measure.regression import Outcome, gate, outcome_of, sentence_of
from bench_deepspeed.report import markdown, terminal

from . import metrics, view, warnings
from .kind import KIND
from .measure import PairedMeasurement, say_power
from .plan import Plan, new_result
from .records import FILE, SUBFOLDER, AbResult


def run(plan: Plan, options) -> int:
    """Compare, and print the table and the verdict. Returns the exit code.

    Raises BenchError when generations are void, ImpossibleError when one is beyond the device's limits, RegressionError
    and InconclusiveError where flags request these.
    """
    plan.require_packages()
    result = new_result(plan, options, utc_now())
    place = options.output_dir / plan.sides["A"].scenario.model / SUBFOLDER
    with (
        RunFolder(place, FILE, result, log="ab.log", close=partial(close, KIND)) as recorder,
        progress_bars.Bars() as bars,
    ):
        say_power(plan.power, recorder, bars)
        comparison = PairedMeasurement(recorder, plan, options.models_dir, bars)
        comparison.measure()
        comparison.require_possible()
        result.warnings = [dataclasses.asdict(finding) for finding in warnings.check(result)]
        recorder.write_log(*view.log_lines(result))
    print(terminal.render(view.view(result)))  # first: a full disk must not keep what was measured from being seen
    judged = _judged(result, options.fail_on_regression)
    for sentence in judged:
        print(f"\n{wrapped(sentence, columns())}\n")
    page = recorder.folder / "ab.md"
    table = recorder.write("ab.md", markdown.render(view.document(result), page, lambda _figure: None) + "\n")
    for what, path in (("ab", recorder.path), ("table", table), ("log", recorder.log_path)):
        print(f"{what:6}  {paths.shown(path)}")
    void = result.a.void_count + result.b.void_count
    if void:
        raise BenchError(f"{void} generations are void: the engine did not make {result.a.scenario.max_tokens} tokens")
    gate(judged, options.fail_on_inconclusive)
    return 0


def _judged(result: AbResult, bound: float | None) -> dict[str, Outcome]:
    """Whether B is slower than A by more than the bound, in one line → the outcome; empty without a bound."""
    ratio = metrics.ratio_of(result)
    if ratio is None or bound is None:
        return {}
    return {sentence_of(ratio, bound, "B", "A"): outcome_of(ratio, bound)}
