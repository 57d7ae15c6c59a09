"""Results in the formats of other tools: vLLM's and llama.cpp's benchmarks, and Bencher's, which follows measures."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench_deepspeed.benchmarks.common.kind import Item, Kind
from bench_deepspeed.core.errors import UsageError, named
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.report.flat_files import as_jsonl

SAID: dict[str, Callable[[Kind], Any]] = {
    "vllm": lambda kind: kind.vllm_records,
    "llama-bench": lambda kind: kind.llama_bench_records,
    "bencher": lambda kind: kind.row_name,
    "openmetrics": lambda kind: kind.row_name,
}
"""Format → what of a kind says its content in it; None where it cannot."""
PREFIX = "bench_deepspeed_"
BOUNDS = {"value": "value", "lower_value": "lower", "upper_value": "upper"}
"""Bencher's name of a value → its label in OpenMetrics."""


def as_vllm(items: Sequence[Item], _options) -> str:
    """A JSON object a line, one a level, as `vllm bench serve --append-result` writes them.

    Raises UsageError where no file is a load test.
    """
    return _lines(items, "vllm")


def as_llama_bench(items: Sequence[Item], _options) -> str:
    """A JSON object a line, one a test, as `llama-bench -o jsonl` writes them.

    Raises UsageError where no file is a run or a sweep.
    """
    return _lines(items, "llama-bench")


def _lines(items: Sequence[Item], form: str) -> str:
    lines: list[Mapping[str, object]] = []
    for item in _chosen(items, form):
        with named(item.path):
            lines.extend(SAID[form](item.kind)(item.content))
    return as_jsonl(lines)


def as_bencher(items: Sequence[Item], _options) -> str:
    """Bencher Metric Format (bencher.dev/docs/reference/bencher-metric-format): benchmark → measure → its values.

    A measure is a metric of which one direction is better, in the unit that its name ends in, with the ends of its 95%
    interval. Raises UsageError for two results of one name, of which Bencher would keep one, and where no file has rows
    that have names.
    """
    return json.dumps(_measured(items, "bencher"), ensure_ascii=False, indent=2) + "\n"


def as_openmetrics(items: Sequence[Item], _options) -> str:
    """A gauge a metric, in the text format of OpenMetrics (prometheus.io/docs/specs/om/open_metrics_spec).

    The label `result` has the name of what was measured, and `bound` says which sample is the value and which are the
    ends of its 95% interval. Raises UsageError as `as_bencher` does.
    """
    found = _measured(items, "openmetrics")
    meanings = {m.name: m.meaning for item in items for m in item.kind.metrics}
    lines = []
    for metric in dict.fromkeys(name for measures in found.values() for name in measures):
        family = f"{PREFIX}{metric}"
        lines += [f"# TYPE {family} gauge", f"# HELP {family} {_escaped(meanings[metric])}"]
        lines += [
            f'{family}{{result="{_escaped(result)}",bound="{BOUNDS[bound]}"}} {value!r}'
            for result, measures in found.items()
            for bound, value in measures.get(metric, {}).items()
        ]
    return "\n".join([*lines, "# EOF", ""])


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _measured(items: Sequence[Item], form: str) -> dict[str, dict[str, dict[str, float]]]:
    """What was measured → metric → its values.

    Raises UsageError for two results of one name, and where no file has rows that have names.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for item in _chosen(items, form):
        with named(item.path):
            for row in item.kind.rows(item.content):
                measures = {m.name: one for m in item.kind.metrics if (one := _measure(m, row))}
                if (name := item.kind.row_name(row)) in found and measures:
                    raise UsageError(f"{item.path} has another result of {name!r}: give one of them")
                found |= {name: measures} if measures else {}
    return found


def _measure(metric: Metric, row: object) -> dict[str, float] | None:
    """Its value and interval; None for what was not measured, and for what is neither better nor worse."""
    value = metric.value(row)
    if metric.better is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    bounds = metric.interval(row) if metric.interval is not None else None
    values = {"value": value, **(dict(zip(("lower_value", "upper_value"), bounds, strict=True)) if bounds else {})}
    return values if all(map(math.isfinite, values.values())) else None


def _chosen(items: Sequence[Item], form: str) -> list[Item]:
    """The files that can be written in a format; the others are named. Raises UsageError where there are none."""
    chosen = [item for item in items if SAID[form](item.kind)]
    left_out = [item for item in items if not SAID[form](item.kind)]
    if not chosen:
        raise UsageError(
            f"--format {form}: {left_out[0].path} is {left_out[0].kind.what}, which that format cannot say"
        )
    if left_out:
        print(
            f"left out, since --format {form} cannot say them: {', '.join(item.name for item in left_out)}",
            file=sys.stderr,
        )
    return chosen


WRITERS = {
    "vllm": as_vllm,
    "llama-bench": as_llama_bench,
    "bencher": as_bencher,
    "openmetrics": as_openmetrics,
}
