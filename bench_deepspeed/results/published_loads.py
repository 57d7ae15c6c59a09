"""The load tests below docs/results/loads/, and their figure in docs/figures/: all those of a model in one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.load import charts as load_charts
from bench_deepspeed.benchmarks.load import view as load_report
from bench_deepspeed.benchmarks.load.records import LoadResult
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.model import catalog
from bench_deepspeed.report.svg import Drawing, source_of

Published = list[tuple[Path, LoadResult]]


def of_model(model: str, results: Path) -> Published:
    """The published load tests of one model. Raises BenchError for one that must not be published."""
    found = [(path, LoadResult.load(path)) for path in sorted((results / "loads").glob("*.json"))]
    for path, result in found:
        if reason := load_report.refusal(result):
            raise BenchError(f"{path} cannot be published: {reason}")
    return [(path, result) for path, result in found if result.model["name"] == model]


def figure(model: str, results: Path) -> Path:
    """The file of a model's figure."""
    return results.parent / "figures" / f"{model}-load.svg"


def drawings(results: Path) -> list[Drawing]:
    """The figures of all models with published load tests."""
    of_models = {model: of_model(model, results) for model in catalog.names()}
    return [
        Drawing(
            figure(model, results),
            source_of(*(path for path, _ in found)),
            partial(load_charts.figure, [result for _, result in found]),
        )
        for model, found in of_models.items()
        if found
    ]
