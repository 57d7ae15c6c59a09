"""AIPerf (https://github.com/ai-dynamo/aiperf): its JSON lines have a row for each request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench_deepspeed.benchmarks.referee.log import Served
from bench_deepspeed.benchmarks.referee.scenarios import PROMPT_TOKENS
from bench_deepspeed.benchmarks.referee.wire import MODEL

from .base import Job, Reported, Tool

ROWS, SUMMARY = "profile_export.jsonl", "profile_export_aiperf.json"
MS = 1000


class AiPerf(Tool):
    name = "aiperf"
    title = "AIPerf"
    requirement = "aiperf==0.13.0"
    fields = {
        "ttft": "time_to_first_token",
        "tpot_after_chunk": "inter_token_latency",
        "chunk_gap": "inter_chunk_latency",
        "e2e": "request_latency",
    }
    notes = "token counts of the server, of each chunk as well"

    def command(self, job: Job, python: Path) -> list[str]:
        scenario = job.scenario
        load = ["--concurrency", str(scenario.clients)]
        if scenario.rate:
            load = ["--request-rate", f"{scenario.rate:g}", "--arrival-pattern", "constant"]
        return [
            str(python.with_name("aiperf")),
            "profile",
            *("--model", MODEL, "--url", job.url, "--endpoint-type", "chat", "--streaming"),
            *("--tokenizer", str(job.tokenizer), "--random-seed", "0"),
            *("--synthetic-input-tokens-mean", str(PROMPT_TOKENS), "--output-tokens-mean", str(scenario.tokens)),
            *("--extra-inputs", "ignore_eos:true", "--use-server-token-count", "--per-chunk-usage"),
            *load,
            *("--request-count", str(scenario.requests)),
            *("--output-artifact-dir", str(job.folder), "--export-level", "records", "--ui", "none"),
            *("--no-gpu-telemetry", "--no-server-metrics"),
        ]

    def read(self, job: Job, served: Sequence[Served]) -> Reported:
        lines = (job.folder / ROWS).read_text(encoding="utf-8").splitlines()
        rows = list(map(json.loads, lines))
        ok = [row["metrics"] for row in rows if not row.get("error")]
        latencies = {name: _seconds(ok, field) for name, field in self.fields.items()}
        summary = json.loads((job.folder / SUMMARY).read_text(encoding="utf-8"))
        tokens_per_s = summary["output_token_throughput"]["avg"]
        return Reported(latencies, tokens_per_s, len(rows) - len(ok), self.own(job, served))


def _seconds(rows: Sequence[dict], field: str) -> list[float]:
    """The values of a field of milliseconds, which has one or several of them."""
    found = [row[field]["value"] for row in rows if field in row]
    return [one / MS for value in found for one in (value if isinstance(value, list) else [value])]
