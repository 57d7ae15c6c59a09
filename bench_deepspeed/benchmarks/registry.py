"""The kinds of result: one line each. Importing this imports none of them."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from bench_deepspeed.benchmarks.common.kind import Kind

KINDS = {
    "run": "bench_deepspeed.benchmarks.run.kind",
    "ab": "bench_deepspeed.benchmarks.ab.kind",
    "sweep": "bench_deepspeed.benchmarks.sweep.kind",
    "load": "bench_deepspeed.benchmarks.load.kind",
    "quality": "bench_deepspeed.benchmarks.quality.kind",
    "selftest": "bench_deepspeed.benchmarks.selftest.kind",
    "referee": "bench_deepspeed.benchmarks.referee.kind",
}
"""Name → the module that defines `KIND`. In this order documents and the page show them."""


@cache
def kind(name: str) -> Kind:
    """The kind of that name. Raises KeyError where there is none."""
    return import_module(KINDS[name]).KIND


def kinds() -> list[Kind]:
    """All kinds, in their order."""
    return [kind(name) for name in KINDS]


def kind_of(data: object) -> Kind | None:
    """The kind of a file's JSON: that of its `kind`, else by its top-level fields; None for what is no result."""
    if not isinstance(data, dict):
        return None
    if "kind" in data:
        return next((one for one in kinds() if one.name == data["kind"]), None)
    return next((one for one in kinds() if one.fields and one.fields <= set(data)), None)
