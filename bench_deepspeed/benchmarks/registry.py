"""The kinds of result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from bench_deepspeed.benchmarks.ab.records import AbResult, shared
from bench_deepspeed.benchmarks.load.records import LoadResult
from bench_deepspeed.benchmarks.quality.records import Quality
from bench_deepspeed.benchmarks.sweep.records import SweepResult
from bench_deepspeed.measure.records import Result

LOADERS: dict[str, Callable[[Path], object]] = {
    "result": Result.load,
    "quality": Quality.load,
    "sweep": SweepResult.load,
    "load": LoadResult.load,
    "ab": AbResult.load,
}
"""Kind → what reads a file of it. A new kind stands here, in `tables.ROWS` and in `html.SECTIONS`."""
Content = Result | Quality | SweepResult | LoadResult | AbResult


def asked(content: Content) -> dict:
    """What was asked for, whatever the kind: `device` is always there. Of a comparison what both sides share."""
    if isinstance(content, AbResult):
        return shared(*(dataclasses.asdict(side.scenario) for side in content.sides.values()))
    if isinstance(content, LoadResult):
        return content.scenario
    if isinstance(content, Quality):
        model = content.model
        return {"model": model["name"], "weights": model["weights"], "engine": content.engine, "device": content.device}
    return dataclasses.asdict(content.settings if isinstance(content, SweepResult) else content.scenario)


def results_in(content: Content) -> list[Result]:
    """A result itself, the two sides of a comparison; of other kinds none."""
    if isinstance(content, AbResult):
        return list(content.sides.values())
    return [content] if isinstance(content, Result) else []


def unfinished(content: Content) -> list[str]:
    """What must be said of a measurement that did not end by itself."""
    if content.status == "complete":
        return []
    return [f"{content.status}{f' ({content.error})' if content.error else ''}: not all that was asked for is here"]


def _kind(data: object) -> str | None:
    """What its `kind` says; results, sweeps and comparisons have none, and are told by their fields."""
    if not isinstance(data, dict):
        return None
    if "kind" in data:
        return data["kind"] if data["kind"] in LOADERS else None
    fields = {"result": {"scenario", "runs"}, "sweep": {"settings", "scenarios"}, "ab": {"a", "b", "rounds"}}
    return next((kind for kind, needed in fields.items() if needed <= set(data)), None)
