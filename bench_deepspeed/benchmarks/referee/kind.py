"""A run of the referee as a kind of result."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.kind import Kind, Subject

from . import view
from .metrics import METRICS
from .records import FILE, RefereeResult
from .scores import scores

MODEL = "referee"
"""What its results are about, in the place of a model."""


def _subject(result: RefereeResult) -> Subject:
    return Subject((MODEL,), "none", ("none",), ("none",), "cpu", (result.started_at or [""])[-1])


KIND = Kind(
    name="referee",
    file=FILE,
    title="Benchmark tools",
    what="a result of the referee",
    published="referee",
    view=view.view,
    overview=view.overview,
    headline=view.headline,
    load=RefereeResult.load,
    subject=_subject,
    metrics=METRICS,
    rows=scores,
    counted=lambda result: sum(run.requests for run in result.runs),
)
