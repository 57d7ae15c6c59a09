"""The sweeps below docs/results/sweeps/, and their figures in docs/figures/."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.benchmarks.sweep import charts
from bench_deepspeed.benchmarks.sweep.records import SweepResult
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.report.svg import Drawing, source_of

Published = list[tuple[Path, SweepResult]]


def of_model(model: str, results: Path) -> Published:
    """The published sweeps of one model."""
    return [(path, sweep) for path, sweep in _all(results) if sweep.settings.model == model]


def _all(results: Path) -> Published:
    """Every published sweep. Raises BenchError for one that must not be published."""
    found = [(path, SweepResult.load(path)) for path in sorted((results / "sweeps").glob("*.json"))]
    for path, sweep in found:
        if sweep.status != "complete":
            raise BenchError(f"{path} cannot be published: its status is {sweep.status!r}")
        if "fake" in sweep.settings.engines:
            raise BenchError(f"{path} cannot be published: the fake engine measures nothing")
    return found


def figures(evidence: Path, sweep: SweepResult) -> dict[str, Path]:
    """Title → file of each figure of a published sweep."""
    folder = evidence.parents[2] / "figures"
    names = charts.drawings(sweep)
    return {charts.TITLES[name]: folder / f"{evidence.stem}-{name}.svg" for name in names}


def drawings(results: Path) -> list[Drawing]:
    """The figures of all published sweeps."""
    return [
        Drawing(path, source_of(evidence), charts.pictures(sweep)[name])
        for evidence, sweep in _all(results)
        for name, path in zip(charts.drawings(sweep), figures(evidence, sweep).values(), strict=True)
    ]
