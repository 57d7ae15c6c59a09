"""A self-test as a kind of result."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.kind import Kind, Place, Subject

from . import verdict, view
from .records import FILE, SelfTest


def _subject(test: SelfTest) -> Subject:
    s = test.scenario
    return Subject(
        (str(s["model"]),), str(s["weights"]), (str(s["engine"]),), (str(s["precision"]),), s["device"], test.started_at
    )


def _recomputed(test: SelfTest) -> dict[Place, object]:
    """The ratio of each comparison with its interval, and its verdict."""
    return {
        ("comparisons", number, name): getattr(verdict.again(comparison), name)
        for number, comparison in enumerate(test.comparisons)
        for name in ("ratio", "low", "high", "verdict")
    }


KIND = Kind(
    name="selftest",
    file=FILE,
    title="Self-test",
    what="a self-test",
    published="selftests",
    view=view.view,
    overview=view.overview,
    load=SelfTest.load,
    subject=_subject,
    metrics=view.METRICS,
    rows=lambda test: test.comparisons,
    recomputed=_recomputed,
    counted=lambda test: sum(len(c.harness_s) + len(c.bare_s) for c in test.comparisons),
    warnings=lambda test: [f"{c.title}: {c.outcome}" for c in test.comparisons if c.verdict != "pass"],
)
