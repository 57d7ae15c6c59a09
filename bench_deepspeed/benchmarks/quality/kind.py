"""A quality check as a kind of result."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.kind import Kind, Place, Subject

from . import view
from .metrics import METRICS, rows
from .published_elsewhere import published_elsewhere
from .records import FILE, Quality


def _subject(quality: Quality) -> Subject:
    model = quality.model
    precisions = tuple(candidate["precision"] for candidate in quality.candidates)
    return Subject(
        (str(model["name"]),),
        str(model["weights"]),
        (quality.engine,),
        precisions,
        quality.device,
        quality.started_at,
        (quality.tensor_parallel,),
    )


def _recomputed(quality: Quality) -> dict[Place, object]:
    """The verdict of each precision, from its answers."""
    return {("candidates", number, "verdict"): row.verdict for number, row in enumerate(rows(quality))}


KIND = Kind(
    name="quality",
    file=FILE,
    title="Quality",
    what="a quality check",
    published="quality",
    view=view.view,
    overview=view.overview,
    published_elsewhere=published_elsewhere,
    load=Quality.load,
    subject=_subject,
    metrics=METRICS,
    rows=rows,
    recomputed=_recomputed,
    counted=lambda quality: sum(len(c["engine"]) + len(c["floor"] or []) for c in quality.candidates),
    warnings=lambda quality: [f"outside the noise floor in {precision}" for precision in quality.outside],
)
