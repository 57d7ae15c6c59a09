"""What the page says first of a model's results: the fastest, and how many times as fast as plain Transformers it is.

The two were measured apart; a comparison of `ab`, where there is one, is the better evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.measure import warnings
from bench_deepspeed.measure.ratio import Ratio, speed_ratio
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.speed import speed_interval
from bench_deepspeed.report.blocks import Headline

from . import charts, metrics
from .charts import RunItem

BASELINE = "transformers"
"""The engine that others are compared with."""


def headlines(items: Sequence[RunItem]) -> list[Headline]:
    """One of each model that has a speed: with a baseline where there is one, and with an interval where there is."""
    by_work: dict[tuple, list[RunItem]] = {}
    for item in items:
        if item.content.valid_samples and item.content.scenario.engine != "fake":
            by_work.setdefault(_work(item), []).append(item)
    candidates = [_headline(members) for members in by_work.values()]
    best: dict[str, Headline] = {}
    for _rank, found in sorted(candidates, key=lambda candidate: candidate[0]):
        best[found.model] = found
    return list(best.values())


def _work(item: RunItem) -> tuple:
    """What must be the same in both for a ratio: what was computed, in which precision, on what."""
    result, scenario = item.content, item.content.scenario
    lengths = tuple(sorted({sample.prompt_tokens for sample in result.valid_samples}))
    model = (metrics.model_title(result), result.model.get("digest"))
    where = (item.machine, scenario.tensor_parallel)
    return (*model, *where, scenario.precision, lengths, scenario.max_tokens)


def _headline(items: Sequence[RunItem]) -> tuple[tuple, Headline]:
    """Of results of the same work, and its rank among those of its model: the higher, the more it says.

    The baseline is Transformers; where that is the fastest itself, it is compared with the fastest other.
    """
    best = max(items, key=_speed)
    others = [item for item in items if BASELINE in {item.content.scenario.engine, best.content.scenario.engine}]
    others = [item for item in others if item is not best]
    baseline = max(others, key=_speed, default=None)
    ratio = speed_ratio(baseline.content, best.content) if baseline else None
    found = Headline(
        model=metrics.model_title(best.content),
        machine=best.machine,
        best=_configuration(best),
        speed=metrics.speed_cell(best.content),
        tokens_per_s=_speed(best),
        source=best.path,
        facets=frozenset(charts.facets_of(item) for item in (best, baseline) if item),
        warnings=tuple(dict.fromkeys(code for item in (best, baseline) if item for code in _doubts(item.content))),
        **(_against(baseline, ratio) if baseline and ratio else {}),
    )
    interval = speed_interval(best.content)
    known = interval is not None and interval.high is not None
    return (found.has_interval, ratio is not None, known, _speed(best)), found


def _against(baseline: RunItem, ratio: Ratio) -> dict:
    """The fields of a headline that has a baseline."""
    value, interval = ratio.shown.split(" ", 1)
    verdicts = {
        "faster": f"the tokens/s of {baseline.content.scenario.engine}",
        None: "inconclusive: too few processes",
    }
    return {
        "baseline": _configuration(baseline),
        "baseline_speed": metrics.speed_cell(baseline.content),
        "ratio": value,
        "interval": interval,
        "verdict": verdicts.get(ratio.verdict, "inconclusive: the interval contains 1"),
        "has_interval": ratio.low is not None,
    }


def _configuration(item: RunItem) -> str:
    return f"{metrics.engine_title(item.content)}, {item.content.scenario.precision}"


def _speed(item: RunItem) -> float:
    return metrics.mean_speed(item.content) or 0.0


def _doubts(result: Result) -> list[str]:
    """The codes of its warnings, and its status where it did not reach its end."""
    unfinished = [] if result.status == "complete" else [result.status]
    return [*unfinished, *(finding.code for finding in warnings.check(result))]
