"""llama-benchy (https://github.com/eugr/llama-benchy): batches of simultaneous requests, and no request rates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench_deepspeed.benchmarks.referee.log import Served
from bench_deepspeed.benchmarks.referee.scenarios import PROMPT_TOKENS, Scenario
from bench_deepspeed.benchmarks.referee.wire import BOOK, MODEL

from .base import Job, Reported, Tool

FILE = "llama-benchy.json"


class LlamaBenchy(Tool):
    name = "llama-benchy"
    title = "llama-benchy"
    requirement = "llama-benchy==0.4.0"
    fields = {"ttft": "e2e_ttft", "tpot_after_chunk": "1 ∕ tg_req_throughput"}
    notes = "it sends batches, each when the one before has ended"

    def refusal(self, scenario: Scenario) -> str | None:
        return "it has no request rates" if scenario.rate else None

    def command(self, job: Job, python: Path) -> list[str]:
        scenario = job.scenario
        return [
            str(python.with_name("llama-benchy")),
            *("--base-url", f"{job.url}/v1", "--model", MODEL, "--tokenizer", str(job.tokenizer)),
            *("--book-url", f"{job.url}{BOOK}"),
            *("--pp", str(PROMPT_TOKENS), "--tg", str(scenario.tokens), "--exact-tg"),
            *("--concurrency", str(scenario.clients), "--runs", str(scenario.requests // (scenario.clients or 1))),
            *("--no-warmup", "--skip-coherence", "--no-adapt-prompt", "--latency-mode", "none"),
            *("--save-result", str(job.folder / FILE), "--format", "json"),
        ]

    def read(self, job: Job, served: Sequence[Served]) -> Reported:
        (run,) = json.loads((job.folder / FILE).read_text(encoding="utf-8"))["benchmarks"]
        latencies = {
            "ttft": [value / 1000 for value in run["e2e_ttft"]["values"]],
            "tpot_after_chunk": [1 / value for value in run["tg_req_throughput"]["values"]],
        }
        return Reported(latencies, None, None, self.own(job, served))
