"""The flat lines of every kind of result."""

from __future__ import annotations

from collections.abc import Callable

from bench_deepspeed.benchmarks.ab.columns import AB
from bench_deepspeed.benchmarks.ab.flat import _ab_rows, _ab_samples
from bench_deepspeed.benchmarks.common import columns
from bench_deepspeed.benchmarks.common.columns import SAMPLES
from bench_deepspeed.benchmarks.load.columns import LOAD
from bench_deepspeed.benchmarks.load.flat import _load_rows, _load_samples
from bench_deepspeed.benchmarks.quality.columns import QUALITY
from bench_deepspeed.benchmarks.quality.flat import _quality_rows
from bench_deepspeed.benchmarks.registry import asked
from bench_deepspeed.benchmarks.run.columns import RESULT
from bench_deepspeed.benchmarks.run.flat import _result_rows, _result_samples
from bench_deepspeed.benchmarks.sweep.columns import SWEEP
from bench_deepspeed.benchmarks.sweep.flat import _sweep_rows, _sweep_samples
from bench_deepspeed.report.flat_files import Row

from .files import Item

KINDS = {"result": RESULT, "quality": QUALITY, "sweep": SWEEP, "load": LOAD, "ab": AB, "samples": SAMPLES}
"""Kind of file → its columns; `samples` are those of --samples, for any kind but quality."""


def of(item: Item) -> list[Row]:
    """The lines of a file: one a result or comparison; a scenario of a sweep, a level of a load test, a precision of
    a check of answers."""
    whole = identity(item)
    found = [{**whole, **row} for row in ROWS[item.kind](item.content)]
    return [{name: row[name] for name in KINDS[item.kind]} for row in found]


def samples_of(item: Item) -> list[Row]:
    """Every raw sample of a file, in the order they happened; a check of answers has none."""
    found = SAMPLES[item.kind](item.content) if item.kind in SAMPLES else []
    whole = {name: value for name, value in identity(item).items() if name in columns.IDENTITY}
    return [{**dict.fromkeys(columns.SAMPLES), **whole, **row} for row in found]


def header(items: list[Item], samples: bool) -> list[str]:
    """The columns that a CSV of these files needs, each once."""
    kinds = ["samples"] if samples else dict.fromkeys(item.kind for item in items)
    return list(dict.fromkeys(name for kind in kinds for name in KINDS[kind]))


def identity(item: Item) -> Row:
    """What tells one line from another; an engine or precision that varies within a file stands in its rows."""
    content = item.content
    facts = content.environment
    wanted = asked(content)
    packages = facts.get("packages", {})
    return {
        "file": item.name,
        "kind": item.kind,
        "status": content.status,
        "started_at": content.started_at if isinstance(content.started_at, str) else content.started_at[0],
        "model": wanted.get("model"),
        "weights": wanted.get("weights"),
        "engine": wanted.get("engine"),
        "device": wanted["device"],
        "device_name": item.machine,
        "precision": wanted.get("precision"),
        "suite_commit": facts.get("commit"),
        **{name: packages.get(name.replace("_", "-")) for name in columns.MACHINE},
    }


ROWS: dict[str, Callable[..., list[Row]]] = {
    "result": _result_rows,
    "quality": _quality_rows,
    "sweep": _sweep_rows,
    "load": _load_rows,
    "ab": _ab_rows,
}
"""Kind of file → its lines, without what identifies them."""
SAMPLES: dict[str, Callable[..., list[Row]]] = {
    "result": _result_samples,
    "sweep": _sweep_samples,
    "load": _load_samples,
    "ab": _ab_samples,
}
