"""The chart of comparisons: the ratio of each, with its pairs of processes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import machine_of
from bench_deepspeed.report.chart import Axis, Dot, Strip, StripRow

from . import estimate, warnings
from .labels import configuration, facets_of, models
from .records import AbResult

CONFIGURATION_WIDTH = 48
"""Characters of a configuration in a chart's row; the table shows all of it."""


def ratios(results: Sequence[AbResult]) -> Strip | None:
    """B ∕ A of each comparison of one model around a line at 1, where neither is faster; None without a valid round."""
    rows = tuple(row for result in results if (row := _row(result)))
    if not rows:
        return None
    says = "B over A of each comparison: " + "; ".join(f"{row.label}: {row.value} {row.aside}" for row in rows)
    return Strip(f"B ∕ A of {models(results[0])}", Axis("", "times A's tokens/s"), rows, says, reference=1.0)


def _row(result: AbResult) -> StripRow | None:
    logs = estimate.log_ratios(result)
    ratio = estimate.ratio(logs)
    if ratio is None:
        return None
    a, b = (_short(configuration(result, side)) for side in result.sides)
    pairs = [(number, estimate.ratio_within(pair), len(pair)) for number, pair in enumerate(logs, 1) if pair]
    value, aside = ratio.shown.split(" ", 1)
    return StripRow(
        label=f"A: {a} · B: {b}",
        keys=tuple(sorted(facets_of(result))),
        note=machine_of(result.environment, result.a.scenario.device),
        value=f"B ∕ A {value}",
        aside=aside,
        warnings=", ".join(dict.fromkeys(finding.code for finding in warnings.check(result))),
        samples=tuple(
            Dot(paired.value, 0, f"pair {number} of {len(logs)}: {paired.shown}, {n} rounds")
            for number, paired, n in pairs
            if paired
        ),
        mean=ratio.value,
        low=ratio.low,
        high=ratio.high,
    )


def _short(text: str) -> str:
    return textwrap.shorten(text, CONFIGURATION_WIDTH, placeholder=" …")
