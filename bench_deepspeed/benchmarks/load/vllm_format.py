"""The levels of a load test as `vllm bench serve --save-detailed --append-result` would have written them.

The fields are those of vllm/benchmarks/serve.py at vllm-project/vllm 009e6d4. Its clock of a request starts when it is
sent, so latencies count from there, and what a request waited before it is its queue time; failed requests are in no
statistic. Everything is of the level's window: requests due in it for latencies and lists, requests that ended in it
and tokens that came in it for throughput. What is not measured, such as a p99 of too few requests, is left out.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from statistics import fmean, pstdev

from bench_deepspeed.measure.percentiles import Percentile, percentiles

from .labels import model_title
from .latency import chunks_of, tpot
from .level_statistics import due_in_window, ended_in_window, window_s
from .metrics import LevelRow, rows
from .records import PERCENTILES, LoadResult, Record


def records(result: LoadResult) -> list[dict[str, object]]:
    """An object of JSON a level that was measured."""
    return [_record(row) for row in rows(result) if row.measured]


def _record(row: LevelRow) -> dict[str, object]:
    result, level = row.result, row.level
    due, seconds = due_in_window(level), window_s(level)
    return {
        "date": datetime.datetime.fromisoformat(result.started_at).strftime("%Y%m%d-%H%M%S"),
        "backend": result.target["name"],
        "label": level.name,
        "model_id": result.target.get("model") or model_title(result),
        "num_prompts": len(due),
        "request_rate": "inf" if level.rate is None else level.rate,
        "burstiness": result.workload.get("burstiness", 1.0),
        "max_concurrency": level.clients,
        "duration": seconds,
        "completed": len(ended_in_window(level)),
        "failed": row.statistics.failed,
        "total_output_tokens": level.tokens_in_window,
        "request_throughput": row.statistics.requests_per_s,
        "request_goodput": row.statistics.goodput_per_s,
        "output_throughput": row.statistics.tokens_per_s,
        "max_concurrent_requests": level.most_in_flight,
        **_prompts(due, ended_in_window(level), level.tokens_in_window, seconds),
        **_statistics(row, [record for record in due if record.error is None]),
        **_lists(due),
    }


def _prompts(due: Sequence[Record], ended: Sequence[Record], output_tokens: int, seconds: float) -> dict[str, object]:
    """Counts of prompt tokens, where something counted them."""
    if any(record.prompt_tokens is None for record in [*due, *ended]):
        return {}
    total = sum(record.prompt_tokens for record in ended)
    throughput = (total + output_tokens) / seconds
    lengths = [record.prompt_tokens for record in due]
    return {"total_input_tokens": total, "total_token_throughput": throughput, "input_lens": lengths}


def _statistics(row: LevelRow, ended: Sequence[Record]) -> dict[str, float]:
    """Mean, standard deviation and percentiles of each latency, in ms."""
    gaps = [gap for record in ended for gap in _gaps(record)]
    series = {
        "ttft": [record.first_s - record.sent_s for record in ended],
        "tpot": [each for record in ended if (each := tpot(record)) is not None],
        "e2el": [record.last_s - record.sent_s for record in ended],
    }
    found = {name: _of(name, values, percentiles(values, PERCENTILES)) for name, values in series.items()}
    found["itl"] = _of("itl", gaps, row.statistics.latencies["chunk"])
    return {field: value for of_one in found.values() for field, value in of_one.items()}


def _gaps(record: Record) -> list[float]:
    """Seconds between its chunks, which is what vLLM calls ITL."""
    return [gap for gap, _ in (chunks_of(record) or [])[1:]]


def _of(name: str, values: Sequence[float], at: dict[float, Percentile]) -> dict[str, float]:
    if not values:
        return {}
    known = {percent: one.value for percent, one in at.items() if one.value is not None}
    named = {f"p{percent}_{name}_ms": value for percent, value in known.items()}
    median = {f"median_{name}_ms": known[50]} if 50 in known else {}
    seconds = {f"mean_{name}_ms": fmean(values), f"std_{name}_ms": pstdev(values), **median, **named}
    return {field: 1e3 * value for field, value in seconds.items()}


def _lists(due: Sequence[Record]) -> dict[str, list]:
    """A value a request; of one that failed zeros, as vLLM has them, and the error. Gaps only where they were kept."""
    ended = [record.error is None for record in due]
    gaps = {"itls": [_gaps(record) if record.error is None else [] for record in due]}
    return {
        **({} if any(record.chunks is None for record in due) else gaps),
        "output_lens": [record.new_tokens for record in due],
        "ttfts": [r.first_s - r.sent_s if ok else 0.0 for r, ok in zip(due, ended, strict=True)],
        "latencies": [r.last_s - r.sent_s if ok else 0.0 for r, ok in zip(due, ended, strict=True)],
        "start_times": [record.sent_s for record in due],
        "queue_times": [None if record.sent_s is None else record.sent_s - record.due_s for record in due],
        "errors": [record.error or "" for record in due],
    }
