"""`bench.sh compare`: read, refuse what is not comparable, show, and judge a regression."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.core.errors import UsageError, named
from bench_deepspeed.core.json_files import json_text
from bench_deepspeed.core.paths import file_in
from bench_deepspeed.core.streams import write_exactly
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.regression import gate
from bench_deepspeed.results import files

from . import view
from .comparable import obstacles
from .comparison import Comparison

FILE = "result.json"


def run(options) -> int:
    """Print the comparison. Returns the exit code.

    Raises UsageError for what is not comparable (without --force), ImpossibleError for a result beyond its
    device's limits, RegressionError when --fail_on_regression shows one, InconclusiveError when it can neither show nor
    exclude one and --fail_on_inconclusive was given.
    """
    comparison = _read(options)
    if comparison.obstacles and not options.force:
        raise UsageError(f"not comparable: {'; '.join(comparison.obstacles)} (--force compares all the same)")
    if comparison.bound is not None and any(
        ratio is None or ratio.low is None for ratio in comparison.speeds().values()
    ):
        raise UsageError("--fail_on_regression needs an interval, and one process has none: measure with --processes 3")
    if options.json:
        write_exactly(json_text(comparison.as_json()))
    else:
        print(view.text(comparison))
    gate(view.regressions(comparison), options.fail_on_inconclusive)
    return 0


def _read(options) -> Comparison:
    paths = [file_in(path, FILE) for path in options.files]
    results = [_result(path) for path in paths]
    return Comparison(paths, results, obstacles(paths, results), options.fail_on_regression)


def _result(path: Path) -> Result:
    """A saved result. Raises UsageError for another file, ImpossibleError for one beyond the device's limits."""
    with named(path):
        (item,) = files.read([path])
        if item.kind.name != "run":
            raise UsageError(f"{path} is {item.kind.what}: compare takes results of `bench.sh run`")
        result = item.content
        item.kind.require_possible(result)
        with_itself = Comparison([path] * 2, [result] * 2, obstacles([path] * 2, [result] * 2), None)
        view.text(with_itself)  # what cannot be compared with itself is damaged
        with_itself.as_json()
    return result
