from __future__ import annotations

from bench_deepspeed.report.flat_files import Row

from . import metrics as load_metrics
from .records import Level, LoadResult
from .saturation import judge


def _load_rows(result: LoadResult) -> list[Row]:
    return [{"target": result.target["name"], **_level(level, result.sla)} for level in result.levels]


def _level(level: Level, sla: dict[str, float | None]) -> Row:
    found = load_metrics.figures(level, sla)
    verdict = judge(level) if level.rate is not None else None
    latencies = {"e2e": found.e2e_s, "ttft": found.ttft_s, "tpot": found.tpot_s, "itl": found.itl_s}
    return {
        "clients": level.clients,
        "rate_per_s": level.rate,
        **{name: getattr(found, name) for name in ("due", "failed", "offered_per_s", "requests_per_s", "tokens_per_s")},
        **{f"{n}_p{p}_s": (cells or {}).get(f"p{p}") for n, cells in latencies.items() for p in (50, 90, 95, 99)},
        "goodput_per_s": found.good_per_s,
        **{f"effective_{r}_per_s": (found.effective_per_s or {}).get(r) for r in load_metrics.GENERATION_TOKENS_PER_S},
        "lag_p99_s": found.lag_p99_s,
        "generator_cpu_share": level.generator_cpu_share,
        "server_cpu_share": sum(level.server_cpu_share.values()) if level.server_cpu_share else None,
        "server_cpu_share_max": max(level.server_cpu_share.values(), default=None),
        "waited_for_kv": level.waited_for_kv,
        "saturated": verdict.saturated if verdict and verdict.slope is not None else None,
        "remarks": "; ".join(found.remarks),
    }


def _load_samples(result: LoadResult) -> list[Row]:
    """Requests; of one that failed neither time nor speed."""
    found = []
    for group, level in enumerate(result.levels, 1):
        for index, record in enumerate(level.records, 1):
            seconds = load_metrics.e2e(record) if record.error is None else None
            row = {"phase": "request", "group": group, "index": index, "batch_size": 1, "seconds": seconds}
            row |= {"prompt_tokens": record.prompt_tokens, "new_tokens": record.new_tokens}
            row["tokens_per_s"] = record.new_tokens / seconds if seconds else None
            found.append({**row, "valid": record.error is None})
    return found
