"""GuideLLM (https://github.com/vllm-project/guidellm): its JSON has a row for each request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench_deepspeed.benchmarks.referee.log import Served
from bench_deepspeed.benchmarks.referee.scenarios import PROMPT_TOKENS
from bench_deepspeed.benchmarks.referee.wire import MODEL

from .base import Job, Reported, Tool

FILE = "guidellm.json"


class GuideLlm(Tool):
    name = "guidellm"
    title = "GuideLLM"
    requirement = "guidellm==0.8.1"
    fields = {
        "ttft": "time_to_first_token_ms",
        "tpot": "inter_token_latency_ms",
        "e2e_per_token": "time_per_output_token_ms",
        "e2e": "request_latency",
    }
    notes = "one process that sends in place of up to ten, since it has one CPU here"
    environment = {"HF_HUB_OFFLINE": "1", "GUIDELLM__MAX_WORKER_PROCESSES": "1"}

    def command(self, job: Job, python: Path) -> list[str]:
        scenario = job.scenario
        profile = (
            f"kind=constant,rate={scenario.rate:g}" if scenario.rate else f"kind=concurrent,streams={scenario.clients}"
        )
        return [
            str(python.with_name("guidellm")),
            "run",
            *("--backend", f"kind=openai_http,target={job.url},model={MODEL}"),
            *("--profile", profile),
            *("--constraint", f"kind=max_requests,count={scenario.requests}"),
            *("--tokenizer", f"kind=huggingface_auto,model={job.tokenizer}"),
            *("--data", f"kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={scenario.tokens}"),
            *("--output", f"kind=json,path={job.folder / FILE}"),
            "--disable-console",
        ]

    def read(self, job: Job, served: Sequence[Served]) -> Reported:
        (benchmark,) = json.loads((job.folder / FILE).read_text(encoding="utf-8"))["benchmarks"]
        ok, errored = benchmark["requests"]["successful"], benchmark["requests"]["errored"]
        latencies = {
            name: [row[field] / (1000 if field.endswith("_ms") else 1) for row in ok if row[field] is not None]
            for name, field in self.fields.items()
        }
        tokens_per_s = benchmark["metrics"]["output_tokens_per_second"]["successful"]["mean"]
        return Reported(latencies, tokens_per_s, len(errored), self.own(job, served))
