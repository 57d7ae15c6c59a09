"""inference-perf (https://github.com/kubernetes-sigs/inference-perf): its JSON has a row for each request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench_deepspeed.benchmarks.referee.log import Served
from bench_deepspeed.benchmarks.referee.scenarios import PROMPT_TOKENS, Scenario
from bench_deepspeed.benchmarks.referee.wire import MODEL

from .base import Job, Reported, Tool

TRACE, ROWS, SUMMARY = "trace.csv", "per_request_lifecycle_metrics.json", "summary_lifecycle_metrics.json"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
"""Of a trace's times, which are dates: any will do."""
REPORT = "--report.request_lifecycle"


class InferencePerf(Tool):
    name = "inference-perf"
    title = "inference-perf"
    requirement = "inference-perf==0.7.0"
    pythons = ("3.12", "3.13")
    fields = {
        "ttft": "time_to_first_token",
        "tpot": "time_per_output_token",
        "e2e_per_token": "normalized_time_per_output_token",
        "token_gap": "inter_token_latencies",
        "e2e": "request_latency",
    }
    notes = (
        "a trace gives the arrivals, since its constant rate draws them; one process that sends, since it has one CPU "
        "here; completions, which its random prompts need; token counts of the server"
    )
    environment = {"HF_HUB_OFFLINE": "1"}

    def command(self, job: Job, python: Path) -> list[str]:
        return [
            str(python.with_name("inference-perf")),
            *("--server.type", "vllm", "--server.base_url", job.url, "--server.model_name", MODEL),
            *("--tokenizer.pretrained_model_name_or_path", str(job.tokenizer)),
            *("--api.type", "completion", "--api.streaming", "true", "--data.type", "random"),
            *(
                "--load.num_workers",
                "1",
                "--load.worker_max_concurrency",
                "1000",
                "--load.base_seed",
                "0",
                *self._level(job),
            ),
            *(f"{REPORT}.per_request", "true", f"{REPORT}.use_server_output_tokens", "true"),
            *(f"{REPORT}.per_request_fields.computed_metrics", "true"),
            *("--storage.local_storage.path", str(job.folder)),
        ]

    def _level(self, job: Job) -> list[str]:
        scenario = job.scenario
        if scenario.rate:
            file = job.folder / TRACE
            file.write_text(_trace(scenario, scenario.rate), encoding="utf-8")
            stage = {"rate": scenario.rate, "duration": max(1, round(scenario.requests / scenario.rate))}
            return [
                *("--load.type", "trace_replay", "--load.stages", json.dumps([stage])),
                *("--load.trace.file", str(file), "--data.trace.file", str(file)),
            ]
        stage = {"num_requests": scenario.requests, "concurrency_level": scenario.clients}
        return [
            *("--load.type", "concurrent", "--load.stages", json.dumps([stage])),
            *_fixed("input", PROMPT_TOKENS),
            *_fixed("output", scenario.tokens),
        ]

    def read(self, job: Job, served: Sequence[Served]) -> Reported:
        rows = json.loads((job.folder / ROWS).read_text(encoding="utf-8"))
        summary = json.loads((job.folder / SUMMARY).read_text(encoding="utf-8"))
        ok = [row["computed_metrics"] for row in rows if row["error"] is None]
        latencies = {name: _values(ok, field) for name, field in self.fields.items()}
        tokens_per_s = summary["successes"]["throughput"]["output_tokens_per_sec"]
        return Reported(latencies, tokens_per_s, len(rows) - len(ok), self.own(job, served))


def _trace(scenario: Scenario, rate: float) -> str:
    """Evenly spaced arrivals in the format of the Azure LLM inference traces."""
    times = [BEGAN + timedelta(seconds=number / rate) for number in range(scenario.requests)]
    rows = [f"{time:%Y-%m-%d %H:%M:%S.%f},{PROMPT_TOKENS},{scenario.tokens}" for time in times]
    return "\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, ""])


def _fixed(which: str, tokens: int) -> list[str]:
    """The flags of a length that all requests have."""
    flag = f"--data.{which}_distribution"
    return [
        f"{flag}.type",
        "fixed",
        *(word for one in ("min", "max", "mean") for word in (f"{flag}.{one}", str(tokens))),
    ]


def _values(rows: Sequence[dict], field: str) -> list[float]:
    """The values of a field, which has one or several of them, in seconds; a request of one token lacks some."""
    found = [row[field] for row in rows if row[field] is not None]
    return [one for value in found for one in (value if isinstance(value, list) else [value])]
