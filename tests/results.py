"""Results of every kind, made by hand: what the reports are tested with, where no real run is needed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from support import ROOT

from bench_deepspeed.benchmarks.ab.records import AbResult, Round
from bench_deepspeed.benchmarks.load.records import Level, LoadResult, Record
from bench_deepspeed.benchmarks.sweep.records import SweepResult, SweepScenario, SweepSettings
from bench_deepspeed.measure.records import (
    Environment,
    Gpu,
    Latency,
    Limits,
    Memory,
    Profile,
    Result,
    Run,
    Sample,
    Scenario,
    Share,
)

STARTED_AT = "2026-01-02T03:04:05+00:00"
ENVIRONMENT = Environment(
    suite="0.1.0",
    commit="c0ffee",
    python="3.12.3",
    system="Linux 6.1",
    cpu="Some CPU",
    cpu_count=16,
    gpus=[Gpu("Some GPU", "9.0", 81920, "580.1")],
    nvcc="13.1",
    packages={"torch": "2.13.0", "deepspeed": "0.19.8", "deepspeed-mii": "0.3.3", "transformers": "5.17.0"},
    torch_cuda="13.0",
    torch_threads=16,
    gpu_used="Some GPU",
    driver_cuda="13.2",
)


def result(
    environment: dict | None = None, seconds: tuple[float, ...] = (2.0, 4.0), processes: int = 1, **scenario
) -> Result:
    """A complete result of 8 tokens a repetition, 4 and 2 tokens per second; each process takes twice as long."""
    setting = {
        "model": "llama",
        "engine": "mii",
        "device": "cuda",
        "precision": "float16",
        "weights": "pretrained",
        "prompt": "Hello",
        "max_tokens": 8,
        "processes": processes,
        "repetitions": len(seconds),
        "warmups": 0,
        "seed": 0,
        **scenario,
    }
    memory = Memory(weights_bytes=13_480_000_000, device_peak_bytes=14_000_000_000, host_peak_bytes=2_000_000_000)
    return Result(
        Scenario(**setting),
        status="complete",
        started_at=STARTED_AT,
        model={"title": {"llama": "Llama-2-7B-chat"}.get(setting["model"], setting["model"]), "note": ""},
        environment=dataclasses.replace(ENVIRONMENT, **(environment or {})),
        runs=[Run(load_s=1.0, samples=[Sample(s * 2**n, 5, 8) for s in seconds]) for n in range(processes)],
        memory=memory,
    )


LIMITS = Limits(3e12, 2.9e12, 6e14, "float16", 50_000_000)


def measured(content: Result) -> Result:
    """The result with all passes: limits, latency, and a profile whose GPU idles for 75% of a step."""
    content.limits = LIMITS
    content.latency = Latency("streamed", [0.02, 0.03], [0.09, 0.10], [[0.01] * 7] * 2)
    kernels = [Share("gemm", 0.002, 10), Share("flash_fwd", 0.0005, 5)]
    content.profiles = [Profile("decode", "cuda", 5, 7, 0.01, 0.0025, kernels, [])]
    return content


def sweep() -> SweepResult:
    """Two engines over two batch sizes; one scenario is refused."""
    engines, batches = ["mii", "transformers"], [1, 4]
    settings = SweepSettings("llama", "cuda", "pretrained", 0, engines, ["float16"], batches, [128], [17], 2, 1)
    scenarios = [SweepScenario(engine, "float16", size, 128, 17) for engine in engines for size in batches]
    for scenario in scenarios[:3]:
        scenario.status = "complete"
        scenario.prefill = [Sample(seconds, 128, 1) for seconds in (0.10, 0.11)]
        scenario.total = [Sample(seconds, 128, 17) for seconds in (0.50, 0.51)]
    scenarios[3].status, scenarios[3].reason = "refused", "it does not fit"
    started, limits = [STARTED_AT], {"float16": LIMITS}
    return SweepResult(
        settings,
        scenarios,
        "complete",
        started_at=started,
        environment=ENVIRONMENT,
        limits=limits,
        model={"name": "llama"},
    )


def load() -> LoadResult:
    """One and two clients, of which one request failed."""
    requests = [Record(n, n, n + 0.5, n + 0.9, 512, 5, 5, 0.1, None) for n in range(10)]
    failed = Record(3.5, 3.5, None, None, 512, 5, 0, None, "reset")
    made = {"rate": None, "window_s": (0.0, 10.0), "itl_s": {}, "generator_cpu_share": 0.1, "most_in_flight": 1}
    levels = [Level(clients=1, tokens_in_window=50, records=requests, **made)]
    told = {"waited_for_kv": 3, "server_cpu_share": {"model server": 0.75, "load balancer": 0.25}}
    levels.append(Level(clients=2, tokens_in_window=50, records=[*requests, failed], **made, **told))
    scenario = {"model": "llama", "engine": "mii", "device": "cuda", "precision": "float16", "weights": "pretrained"}
    return LoadResult(
        scenario=scenario,
        target={"name": "serve", "service": "mii.serve"},
        workload={"prompt_tokens": 512, "max_tokens": 5, "spread": 0.0},
        sla={"ttft_s": 1.0, "tpot_s": None},
        started_at=STARTED_AT,
        status="complete",
        stopped="4 clients: half of the requests failed",
        model={"name": "llama", "title": "Llama-2-7B-chat", "digest": "d"},
        environment=ENVIRONMENT,
        levels=levels,
    )


def ab() -> AbResult:
    """MII against Transformers, two pairs of two rounds: B takes 1.25 and 1.6 times as long as A."""
    sides = [result(engine=engine, seconds=()) for engine in ("mii", "transformers")]
    for of, seconds in zip(sides, ((2.0, 2.0), (2.5, 3.2)), strict=True):
        of.runs = [Run(load_s=1.0, warmups=[Sample(9.0, 5, 8)], samples=[Sample(s, 5, 8)] * 2) for s in seconds]
    order = [Round("AB", {"A": 0.0, "B": 0.0}), Round("BA", {"A": 0.0, "B": 0.5})]
    asked = {"A": {"engine": "mii"}, "B": {"engine": "transformers", "env.HOW": "slowly"}}
    found = AbResult(*sides, asked, "complete", started_at=STARTED_AT, rounds=[order] * 2)
    found.stopped = "2 pairs of processes, as asked"
    return found


def folder_of_every_kind(folder: Path) -> list[Path]:
    """A file of each kind; the check of answers is a published one."""
    made = {"result": measured(result(processes=2)), "sweep": sweep(), "load": load(), "ab": ab()}
    for name, content in made.items():
        content.save(folder / f"{name}.json")
    (quality,) = (ROOT / "docs" / "results" / "quality").glob("smollm2-mii-h100.json")
    shutil.copy(quality, folder / "quality.json")
    return [folder / f"{name}.json" for name in ("result", "quality", "sweep", "load", "ab")]
