"""A comparison of two configurations as a kind of result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from bench_deepspeed.benchmarks.common.kind import Kind, Place, Subject, status_refusal
from bench_deepspeed.benchmarks.run import kind as run_kind
from bench_deepspeed.core.text import NOT_MEASURED

from . import headline, metrics, view, warnings
from .records import FILE, SUBFOLDER, WHAT, AbResult

SETTINGS = ("model", "weights", "engine", "precision", "tensor_parallel")
"""Of a side, in each of its samples."""


def _subject(result: AbResult) -> Subject:
    scenarios = [side.scenario for side in result.sides.values()]
    return Subject(
        models=_unique(s.model for s in scenarios),
        weights=", ".join(_unique(s.weights for s in scenarios)),
        engines=_unique(s.engine for s in scenarios),
        precisions=_unique(s.precision for s in scenarios),
        device=scenarios[0].device,
        started_at=result.started_at,
        tensor_parallel=tuple(dict.fromkeys(s.tensor_parallel for s in scenarios)),
    )


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _headline(result: AbResult) -> str:
    ratio = metrics.ratio_of(result)
    return f"B ∕ A {ratio.shown}" if ratio else NOT_MEASURED


def _refusal(result: AbResult) -> str | None:
    """Why a comparison must not be published; None when it may."""
    if any("digest" not in side.model for side in result.sides.values()):
        return "an engine without a model measures nothing"
    if reason := status_refusal(result):
        return reason
    if result.a.void_count or result.b.void_count:
        return "some of its generations are void"
    if any(side.limits is None for side in result.sides.values()):
        return "no limits were measured with it"
    return None


def samples(result: AbResult) -> list[dict[str, object]]:
    """Those of A, then those of B; a round is valid or void as a whole."""
    void = {
        (pair, number)
        for side_result in result.sides.values()
        for pair, run in enumerate(side_result.runs, 1)
        for number, sample in enumerate(run.samples, 1)
        if sample.is_void(side_result.scenario)
    }
    rows = []
    for side, side_result in result.sides.items():
        settings = {name: getattr(side_result.scenario, name) for name in SETTINGS}
        for row in run_kind.samples(side_result):
            valid = row["valid"] and (row["group"], row["index"]) not in void
            rows.append({**row, **settings, "side": side, "valid": valid})
    return rows


def _recomputed(result: AbResult) -> dict[Place, object]:
    """The warnings, which a result gets when it is complete."""
    if result.status != "complete":
        return {}
    return {("warnings",): [dataclasses.asdict(finding) for finding in warnings.check(result)]}


KIND = Kind(
    name="ab",
    file=FILE,
    title="A/B",
    what=WHAT,
    published="ab",
    subfolder=SUBFOLDER,
    fields=frozenset({"a", "b", "rounds"}),
    view=view.view,
    overview=view.overview,
    headline=_headline,
    page_headlines=headline.headlines,
    load=AbResult.load,
    subject=_subject,
    metrics=metrics.METRICS,
    rows=lambda result: [result],
    samples=samples,
    results=lambda result: list(result.sides.values()),
    recomputed=_recomputed,
    warnings=lambda result: [warning["code"] for warning in result.warnings],
    refusal=_refusal,
)
