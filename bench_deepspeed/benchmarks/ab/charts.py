"""The chart of comparisons: the ratio of each, with its pairs of processes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import machine_of
from bench_deepspeed.report.chart import Axis, Dot, Strip, StripRow

from . import estimate, warnings
from .labels import configuration, facets_of, models
from .records import AbResult

LONGEST = 48
"""Characters of a configuration beside a chart; all of it stands in the table."""


def ratios(results: Sequence[AbResult]) -> Strip | None:
    """B ∕ A of each comparison around a line at 1, where neither is faster; None where no round is valid."""
    rows = tuple(row for result in results if (row := _row(result)))
    if not rows:
        return None
    says = "B over A of each comparison: " + "; ".join(f"{row.label}: {row.value} {row.aside}" for row in rows)
    return Strip("B ∕ A", Axis("", "times A's tokens/s"), rows, says, reference=1.0)


def _row(result: AbResult) -> StripRow | None:
    logs = estimate.log_ratios(result)
    ratio = estimate.ratio(logs)
    if ratio is None:
        return None
    sides = [f"{side}: {_short(configuration(result, side))}" for side in result.sides]
    pairs = [(number, estimate.ratio_within(pair), len(pair)) for number, pair in enumerate(logs, 1) if pair]
    value, aside = ratio.shown.split(" ", 1)
    return StripRow(
        label=models(result),
        keys=tuple(sorted(facets_of(result))),
        note=" · ".join([*sides, machine_of(result.environment, result.a.scenario.device)]),
        value=f"B ∕ A {value}",
        aside=aside,
        warnings=", ".join(finding.code for finding in warnings.check(result)),
        samples=tuple(
            Dot(of_pair.value, 0, f"pair {number} of {len(logs)}: {of_pair.shown}, {n} rounds")
            for number, of_pair, n in pairs
            if of_pair
        ),
        mean=ratio.value,
        low=ratio.low,
        high=ratio.high,
    )


def _short(text: str) -> str:
    return textwrap.shorten(text, LONGEST, placeholder=" …")
