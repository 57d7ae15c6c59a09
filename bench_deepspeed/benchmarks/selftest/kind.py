"""A self-test as a kind of result."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.kind import Kind, Subject

from . import view
from .records import FILE, SelfTest


def _subject(test: SelfTest) -> Subject:
    s = test.scenario
    return Subject(
        (str(s["model"]),), str(s["weights"]), (str(s["engine"]),), (str(s["precision"]),), s["device"], test.started_at
    )


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
    warnings=lambda test: [f"{c.name}: {c.verdict}" for c in test.comparisons if c.verdict != "pass"],
)
