"""A load test as a kind of result."""

from __future__ import annotations

import dataclasses

from bench_deepspeed.benchmarks.common.kind import Kind, Place, Subject, status_refusal
from bench_deepspeed.core.text import NOT_MEASURED

from . import view, vllm_format
from .audit import require_possible
from .labels import model_name, ranks_of, title
from .latency import e2e
from .metrics import METRICS, rows
from .records import FILE, SUBFOLDER, LoadResult
from .saturation import too_high


def _subject(result: LoadResult) -> Subject:
    s = result.scenario
    return Subject(
        (model_name(result),),
        str(s["weights"]),
        (str(s["engine"]),),
        (str(s["precision"]),),
        s["device"],
        result.started_at,
        (ranks_of(result),),
    )


def samples(result: LoadResult) -> list[dict[str, object]]:
    """Requests; of one that failed neither time nor speed."""
    lines = []
    for group, level in enumerate(result.levels, 1):
        for index, record in enumerate(level.records, 1):
            seconds = e2e(record) if record.error is None else None
            line = {"phase": "request", "group": group, "index": index, "batch_size": 1, "seconds": seconds}
            line |= {"prompt_tokens": record.prompt_tokens, "new_tokens": record.new_tokens}
            line["tokens_per_s"] = record.new_tokens / seconds if seconds else None
            lines.append({**line, "valid": record.error is None})
    return lines


def _headline(result: LoadResult) -> str:
    if not result.levels:
        return "no level"
    best = view.fastest(result)
    return NOT_MEASURED if best is None else f"{best.statistics.tokens_per_s:.2f} ({best.level.name})"


def _refusal(result: LoadResult) -> str | None:
    if "digest" not in result.model and "url" not in result.target:
        return "no model was loaded: it measures the load generator"
    if reason := status_refusal(result):
        return reason
    return None if any(row.measured for row in rows(result)) else "no level was measured"


def _recomputed(result: LoadResult) -> dict[Place, object]:
    """Why the highest rate was not sustained, if it was not."""
    last = result.levels[-1] if result.levels else None
    if result.status != "complete" or result.slo or last is None or last.rate is None:
        return {}
    reason = too_high(last)
    return {("stopped",): reason and f"{last.name}: {reason}"}


KIND = Kind(
    name="load",
    file=FILE,
    title="Load",
    what="a load test",
    published="loads",
    subfolder=SUBFOLDER,
    view=view.view,
    overview=view.overview,
    headline=_headline,
    load=LoadResult.load,
    subject=_subject,
    metrics=METRICS,
    rows=rows,
    samples=samples,
    recomputed=_recomputed,
    refusal=_refusal,
    possible=require_possible,
    row_name=lambda row: f"load: {title(row.result)}, {row.level.name}",
    vllm_records=vllm_format.records,
    priced=lambda result, gpu_hour: dataclasses.replace(result, gpu_hour=gpu_hour),
)
