"""How far the same measurement differs from one occasion to the next: an interval holds for the occasion it is of."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from bench_deepspeed.benchmarks.run import metrics
from bench_deepspeed.core import units
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure.metric import cells
from bench_deepspeed.measure.ratio import speed_ratio
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.speed import speed_interval
from bench_deepspeed.report.blocks import Block, Cell, Link, Table
from bench_deepspeed.simulations import host_speed

LEAST_PROCESSES = 10
"""An occasion counts with as many fresh processes: fewer miss the states that only some processes are in."""

Occasion = tuple[Path, Result]


def blocks(results: Iterable[Occasion]) -> list[Block]:
    """A table with a row of each occasion, of what was measured on two of them or more; else nothing.

    Occasions belong together where model, weights, engine, precision, device and lengths are the same. Each is compared
    with the first.
    """
    counted = sorted((o for o in results if len(o[1].runs) >= LEAST_PROCESSES and speed_interval(o[1])), key=_order)
    groups = [list(group) for _, group in groupby(counted, key=lambda occasion: _order(occasion)[:-1])]
    rows = [row for group in groups if len(group) > 1 for row in _rows(group)]
    return [Table(rows, "The same engine on different occasions")] if rows else []


def _what(result: Result) -> tuple[str, ...]:
    title, device = metrics.model_title(result), metrics.device_name(result)
    return title, metrics.engine_title(result), result.scenario.precision, device


def _order(occasion: Occasion) -> tuple:
    result = occasion[1]
    prompts = sorted({sample.prompt_tokens for sample in result.valid_samples})
    return *_what(result), prompts, result.scenario.max_tokens, result.started_at


def _rows(group: Sequence[Occasion]) -> Iterator[dict[str, Cell]]:
    first = group[0][1]
    for path, result in group:
        summary = cells(metrics.METRICS, result, "summary")
        yield {
            "model, engine, precision, device": ", ".join(_what(result)),
            "measured": Link(result.started_at[:16].replace("T", " "), path),
            "prompt + new tokens": summary["prompt + new tokens"],
            "n": summary["n"],
            "tokens/s [95% interval]": summary["tokens/s"],
            **_against(result, first),
            "host's loop": cells(metrics.METRICS, result, "detail")["host's loop"],
            "passes": result.status,
        }


OF_FIRST, VERDICT, ADJUSTED = "of the first", "verdict", "tokens/s at the first's host speed"


def _against(result: Result, first: Result) -> dict[str, str]:
    """The cells that compare an occasion with the first."""
    if result is first:
        return dict.fromkeys((OF_FIRST, VERDICT, ADJUSTED), "")
    ratio = speed_ratio(first, result)
    shown, verdict = (ratio.shown, ratio.verdict) if ratio else (None, None)
    return {
        OF_FIRST: shown or NOT_MEASURED,
        VERDICT: verdict or NOT_MEASURED,
        ADJUSTED: _adjusted(result, first),
    }


def _adjusted(result: Result, first: Result) -> str:
    """Tokens/s as the means of the result's processes predict them for the host speed of the first occasion.

    n ∕ (t̄ − b (h̄ − h̄₁)), where t̄ is the mean time of n tokens, h̄ and h̄₁ are the mean times of the host's loop on the
    two occasions, and b is the slope of t on h between this occasion's processes.
    """
    here, there = host_speed.between(host_speed.groups_of(result)), host_speed.between(host_speed.groups_of(first))
    slope = host_speed.explained(here, 1)
    if slope is None or not there:
        return NOT_MEASURED
    (loop, seconds), (loop_there, _) = (map(statistics.fmean, zip(*pairs, strict=True)) for pairs in (here, there))
    adjusted = seconds - slope["slope"] * (loop - loop_there)
    return units.number(result.scenario.max_tokens / adjusted) if adjusted > 0 else NOT_MEASURED
