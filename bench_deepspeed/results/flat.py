"""The flat lines of any kind of result: its common columns, then those of the kind's metrics."""

from __future__ import annotations

from typing import TypeVar

from bench_deepspeed.benchmarks.common.columns import IDENTITY, MACHINE, SAMPLES
from bench_deepspeed.benchmarks.common.kind import Item, Kind
from bench_deepspeed.measure import metric
from bench_deepspeed.report.flat_files import FlatRow

T = TypeVar("T")


def columns_of(kind: Kind) -> dict[str, str]:
    """Column → meaning. A metric may take the place of a common column that varies within its files."""
    return {**IDENTITY, **MACHINE, **metric.columns(kind.metrics)}


def rows_of(item: Item) -> list[FlatRow]:
    """The lines of a file: one a row of its kind."""
    whole = identity(item)
    lines = [{**whole, **metric.flat(item.kind.metrics, row)} for row in item.kind.rows(item.content)]
    return [{name: line[name] for name in columns_of(item.kind)} for line in lines]


def samples_of(item: Item) -> list[FlatRow]:
    """Every raw sample of a file, in the order they happened; some kinds have none."""
    samples = item.kind.samples(item.content) if item.kind.samples else []
    whole = {name: value for name, value in identity(item).items() if name in IDENTITY}
    return [{**dict.fromkeys(SAMPLES), **whole, **sample} for sample in samples]


def header(items: list[Item], samples: bool) -> list[str]:
    """The columns that a CSV of these files needs, each once."""
    if samples:
        return list(SAMPLES)
    return list(dict.fromkeys(name for item in items for name in columns_of(item.kind)))


def identity(item: Item) -> FlatRow:
    """What distinguishes one line from another. A column is None where the file holds several of it."""
    subject, facts = item.subject, item.content.environment
    return {
        "file": item.name,
        "kind": item.kind.name,
        "status": item.content.status,
        "started_at": subject.started_at,
        "model": _only(subject.models),
        "weights": subject.weights,
        "engine": _only(subject.engines),
        "tensor_parallel": _only(subject.tensor_parallel),
        "device": subject.device,
        "device_name": item.machine,
        "precision": _only(subject.precisions),
        "suite_commit": facts.commit,
        **{name: facts.version(name.replace("_", "-")) for name in MACHINE},
    }


def _only(values: tuple[T, ...]) -> T | None:
    return values[0] if len(values) == 1 else None
