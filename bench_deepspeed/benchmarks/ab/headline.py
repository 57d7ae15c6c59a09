"""What the page says first of a comparison: the faster side, and how many times as fast as the other it is."""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import Item
from bench_deepspeed.benchmarks.run import metrics as run_metrics
from bench_deepspeed.report.blocks import Headline

from . import estimate, warnings
from .labels import configuration, facets_of, models, same
from .records import AbResult


def headlines(items: Sequence[Item[AbResult]]) -> list[Headline]:
    """One of each comparison that has a ratio; none of a configuration with itself, and none of the fake engine."""
    real = (item for item in items if "fake" not in item.subject.engines and not same(item.content))
    return [found for item in real if (found := _headline(item))]


def _headline(item: Item[AbResult]) -> Headline | None:
    result = item.content
    logs = estimate.log_ratios(result)
    found = estimate.ratio(logs)
    if found is None:
        return None
    best, baseline = ("B", "A") if found.value > 1 else ("A", "B")
    if best == "A":
        found = estimate.ratio([[-log for log in pair] for pair in logs]) or found
    ratio, interval = found.shown.split(" ", 1)
    return Headline(
        model=models(result),
        machine=item.machine,
        best=configuration(result, best),
        speed=run_metrics.speed_cell(result.sides[best]),
        tokens_per_s=run_metrics.mean_speed(result.sides[best]) or 0.0,
        source=item.path,
        facets=facets_of(result),
        baseline=configuration(result, baseline),
        baseline_speed=run_metrics.speed_cell(result.sides[baseline]),
        ratio=ratio,
        interval=interval,
        verdict=_verdict(found, result.sides[baseline].scenario.engine),
        has_interval=found.low is not None,
        warnings=tuple(dict.fromkeys(finding.code for finding in warnings.check(result))),
    )


def _verdict(ratio: estimate.PairedRatio, baseline: str) -> str:
    if ratio.low is None:
        return "inconclusive: one pair of processes"
    return f"the tokens/s of {baseline}" if ratio.low > 1 else "inconclusive: the interval contains 1"
