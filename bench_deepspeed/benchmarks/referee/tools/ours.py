"""`bench.sh load --target openai` of this suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench_deepspeed.benchmarks.load import latency
from bench_deepspeed.benchmarks.load.prompts import NUMBERS_A_LEVEL
from bench_deepspeed.benchmarks.load.records import FILE, LoadResult
from bench_deepspeed.benchmarks.referee.log import Served, first_by_word
from bench_deepspeed.benchmarks.referee.scenarios import PROMPT_TOKENS
from bench_deepspeed.core.paths import ROOT

from .base import Job, Reported, Tool

TRACE = "trace.jsonl"
CLIENTS_S = 3.0
"""Of a window with clients that wait."""
BURST_S = 0.2
"""All clients of a scenario that sends once have sent after this time."""


class Ours(Tool):
    name = "bench.sh load"
    title = "bench.sh load"
    requirement = None
    clock = "due"
    fields = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e": "E2E"}
    notes = "a trace gives the arrivals, since --rates draws them; its first sixth is a warm-up"

    def command(self, job: Job, python: Path) -> list[str]:
        load = ["--target", "openai", "--url", job.url, "--api", "chat", "--output_dir", str(job.folder), "--quiet"]
        return [str(ROOT / "bench_deepspeed" / "bench.sh"), "load", *load, *self._level(job)]

    def _level(self, job: Job) -> list[str]:
        scenario = job.scenario
        if scenario.clients and scenario.clients < scenario.requests:
            lengths = ["--prompt_tokens", str(PROMPT_TOKENS), "--max_tokens", str(scenario.tokens)]
            return ["--clients", str(scenario.clients), "--seconds", f"{CLIENTS_S:g}", *lengths]
        gap_s = 1 / scenario.rate if scenario.rate else BURST_S / scenario.requests
        rows = [
            {"arrival_s": round(number * gap_s, 6), "prompt_tokens": PROMPT_TOKENS, "output_tokens": scenario.tokens}
            for number in range(scenario.requests)
        ]
        file = job.folder / TRACE
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        return ["--trace", str(file)]

    def read(self, job: Job, served: Sequence[Served]) -> Reported:
        (file,) = job.folder.glob(f"*/load/*/{FILE}")
        (level,) = LoadResult.load(file).levels
        start_s, end_s = level.window_s
        places = [place for place, record in enumerate(level.records) if start_s <= record.due_s < end_s]
        records = [level.records[place] for place in places]
        ok = [record for record in records if record.error is None]
        by_word = first_by_word(served)  # answers are compared with those that come alone: prompts are sent again
        counted = [by_word[str(NUMBERS_A_LEVEL + place)] for place in places]  # of the first level
        began_s = min(
            request.received_s - (record.sent_s or 0.0) for request, record in zip(counted, records, strict=True)
        )
        latencies = {
            "ttft": [latency.ttft(record) for record in ok],
            "e2e": [latency.e2e(record) for record in ok],
            "tpot": [value for record in ok if (value := latency.tpot(record)) is not None],
        }
        if level.token_chunks:
            latencies["itl"] = [value for record in ok for value in latency.itl(record) or ()]
        else:
            latencies["chunk_gap"] = [gap_s for record in ok for gap_s, _ in (latency.chunks_of(record) or [])[1:]]
        if end_s - start_s < max(map(latency.e2e, ok)):  # the window of a trace ends with its last arrival
            return Reported(latencies, None, len(records) - len(ok), counted)
        window_s = (began_s + start_s, began_s + end_s)
        tokens_per_s = level.tokens_in_window / (end_s - start_s)
        return Reported(latencies, tokens_per_s, len(records) - len(ok), counted, window_s)
