"""Saved runs as a list, and each as its own command showed it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from bench_deepspeed.benchmarks.ab import view as ab_report
from bench_deepspeed.benchmarks.ab.records import AbResult
from bench_deepspeed.benchmarks.load import view as load_report
from bench_deepspeed.benchmarks.load.records import LoadResult
from bench_deepspeed.benchmarks.quality.records import Quality
from bench_deepspeed.benchmarks.quality.view import quality_rows
from bench_deepspeed.benchmarks.run import view
from bench_deepspeed.benchmarks.selftest.command import comparison_table
from bench_deepspeed.benchmarks.selftest.records import SelfTest
from bench_deepspeed.benchmarks.sweep import view as sweep_report
from bench_deepspeed.benchmarks.sweep.records import SweepResult
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import ImpossibleError, named
from bench_deepspeed.measure import plausibility
from bench_deepspeed.measure.records import Result
from bench_deepspeed.model import catalog
from bench_deepspeed.report.tables import table as as_table

from .entries import Entry
from .find import Found

LOGS = ("performance.log", "ab.log")
LEGEND = (
    "started: UTC; tokens/s: mean [95% interval of it, from the means of the processes]; of a load test, those of the "
    "level with the most; of a comparison the ratio B ∕ A of both sides' [95% interval of it]"
)


def listing(entries: list[Entry]) -> str:
    """One row a run, the newest last, and below what went wrong, a line each."""
    rows = [_row(one) for one in sorted(entries, key=lambda one: one.started)]
    errors = [f"{one.id}: {one.status}: {one.error}" for one in entries if one.error]
    return "\n\n".join(filter(None, [as_table(rows), LEGEND, "\n".join(errors)]))


def _row(one: Entry) -> dict[str, str]:
    return {
        "id": one.id,
        "kind": one.kind,
        "started": f"{one.started:%Y-%m-%d %H:%M}",
        "model": ", ".join(one.models) + (" (random weights)" if "random" in one.weights else ""),
        "engine": ", ".join(one.engines),
        "precision": ", ".join(one.precisions),
        "device": one.device,
        "tokens/s": one.speed,
        "status": one.status,
        "warnings": ", ".join(one.warnings),
    }


def shown(found: Found) -> str:
    """A run as its command showed it at its end; with its answers' check, if it has one. Raises UsageError."""
    parts = []
    for kind, path in found.files.items():
        with named(path):
            parts += SHOW[kind](path)
    logs = [log for name in LOGS if (log := found.folder / name).is_file()]
    files = [f"{path.stem:<8} {paths.shown(path)}" for path in found.files.values()]
    parts.append("\n".join([*files, *(f"log      {paths.shown(log)}" for log in logs)]))
    return "\n\n".join(filter(None, parts))


def _run(path: Path) -> Iterator[str]:
    result = Result.load(path)
    try:
        plausibility.check(result, catalog.load(result.scenario.model))
    except ImpossibleError as error:  # never shown as a speed
        yield f"status {result.status}: {error}"
        return
    yield view.report(result)
    yield _ended(result)


def _sweep(path: Path) -> Iterator[str]:
    sweep = SweepResult.load(path)
    done = [sweep_report.line(sweep, scenario) for scenario in sweep.scenarios if scenario.status != "pending"]
    yield "\n".join([*sweep_report.head(sweep), *done])
    yield "\n".join([sweep_report.LEGEND, *sweep_report.reasons(sweep)])
    yield _ended(sweep)


def _load(path: Path) -> Iterator[str]:
    load = LoadResult.load(path)
    yield load_report.table(load)
    yield _ended(load)


def _quality(path: Path) -> Iterator[str]:
    quality = Quality.load(path)
    yield as_table(quality_rows(dataclasses.asdict(quality)))
    yield _ended(quality)


def _selftest(path: Path) -> Iterator[str]:
    test = SelfTest.load(path)
    yield comparison_table(test.comparisons)
    yield _ended(test)


def _ab(path: Path) -> Iterator[str]:
    result = AbResult.load(path)
    try:
        for of in result.sides.values():
            plausibility.check(of, catalog.load(of.scenario.model))
    except ImpossibleError as error:  # never shown as a speed
        yield f"status {result.status}: {error}"
        return
    yield ab_report.text(result)
    yield _ended(result)


def _ended(saved: Result | SweepResult | LoadResult | Quality | SelfTest | AbResult) -> str:
    """How it ended, where it did not reach its end."""
    if saved.status == "complete":
        return ""
    return f"status {saved.status}" + (f": {saved.error}" if saved.error else "")


SHOW: dict[str, Callable[[Path], Iterator[str]]] = {
    "run": _run,
    "sweep": _sweep,
    "load": _load,
    "quality": _quality,
    "selftest": _selftest,
    "ab": _ab,
}
