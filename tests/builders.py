"""Results, models and devices made by hand, which the tests are made of where no real run is needed."""

from __future__ import annotations

import dataclasses
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pynvml
from support import ROOT

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.ab.records import AbResult, Round
from bench_deepspeed.benchmarks.load.records import Level, LoadResult, Record, Workload
from bench_deepspeed.benchmarks.referee.records import PacketCheck, RefereeResult, ToolRun, ToolVersion
from bench_deepspeed.benchmarks.referee.records import Settings as RefereeSettings
from bench_deepspeed.benchmarks.sweep.records import SweepResult, SweepScenario, SweepSettings
from bench_deepspeed.machine.gpu import NvmlGpu
from bench_deepspeed.measure.records import (
    EngineDescription,
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
from bench_deepspeed.model.catalog import ModelSpec

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
    reported = {"waited_for_kv": 3, "server_cpu_share": {"model server": 0.75, "load balancer": 0.25}}
    levels.append(Level(clients=2, tokens_in_window=50, records=[*requests, failed], **made, **reported))
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
    found.stopped = "2 pairs of processes, as requested"
    return found


def referee() -> RefereeResult:
    """Two tools in one scenario, twice each, and one that cannot run it; the second tool's TTFT is 10% too long."""
    cells = [(tool, number, off) for number in (1, 2) for tool, off in (("ours", 1.0), ("aiperf", 1.1))]
    runs = [
        ToolRun(
            tool,
            "steady_1",
            number,
            command=["bench.sh", "load"],
            requests=6,
            failed=0,
            reported={"ttft": {"p50": off * 0.1, "p99": off * (0.1 + number / 100)}},
            truth={"ttft": {"p50": 0.1, "p99": 0.1 + number / 100}},
            reference={"ttft": {"p50": 0.1, "p99": 0.1 + number / 100}},
            tokens_per_s=16.0,
            true_tokens_per_s=16.0,
            cpu_s=0.06,
            cpu_requests=6,
            cpu_total_s=2.0,
            wall_s=8.0,
            lag_s={"p50": 0.0001, "p99": 0.0002},
            server_lag_s={"p50": 0.0001, "p99": 0.0002},
        )
        for tool, number, off in cells
    ]
    return RefereeResult(
        RefereeSettings(["ours", "aiperf", "llama-benchy"], ["steady_1"], 2, 0),
        [STARTED_AT],
        status="complete",
        environment=ENVIRONMENT,
        server_cpus=[0],
        tool_cpus=[1],
        tools={"aiperf": ToolVersion("aiperf==0.13.0", {"aiperf": "0.13.0"})},
        packets=[PacketCheck("steady_50", None, 100, 10, {"p50": 1e-5, "p99": 1e-4}, {"p50": 1e-5, "p99": 1e-4})],
        runs=runs,
    )


def folder_of_every_kind(folder: Path) -> list[Path]:
    """A file of each kind; the check of answers is a published one."""
    made = {"result": measured(result(processes=2)), "sweep": sweep(), "load": load(), "ab": ab(), "referee": referee()}
    for name, content in made.items():
        content.save(folder / f"{name}.json")
    (quality,) = (ROOT / "docs" / "results" / "quality").glob("smollm2-mii-h100.json")
    shutil.copy(quality, folder / "quality.json")
    return [folder / f"{name}.json" for name in ("result", "quality", "sweep", "load", "ab", "referee")]


AB_SCENARIO = Scenario("smollm2", "fake", "cpu", "float32", "pretrained", "hello", 8, 2, 2, 0, 0)


def comparison_of(*pairs: tuple[list[float], list[float]]) -> AbResult:
    """A comparison of these seconds: A's and B's of each pair."""
    a, b = ([Run(load_s=1.0, samples=[Sample(s, 3, 8) for s in pair[n]]) for pair in pairs] for n in (0, 1))
    orders = [[Round("AB", {"A": 0.0, "B": 0.0}) for _ in pair[0]] for pair in pairs]
    return AbResult(Result(AB_SCENARIO, runs=a), Result(AB_SCENARIO, runs=b), {"A": {}, "B": {}}, rounds=orders)


STEADY_SCENARIO = Scenario("llama", "mii", "cuda", "float16", "random", "Hello", 100, 3, 2, 0, 7)


STEADY_ENVIRONMENT = Environment(
    commit="c0ffee",
    gpus=[Gpu("Some GPU", "9.0", 81920, "580.1")],
    packages={"torch": "2.13.0", "deepspeed": "0.19.8"},
    gpu_used="Some GPU",
)


def steady_result(*means: float, status: str = "complete", **scenario) -> Result:
    """A process for each mean of tokens/s, with two repetitions that have it."""
    return Result(
        dataclasses.replace(STEADY_SCENARIO, **scenario),
        status=status,
        started_at="2026-01-02T03:04:05+00:00",
        model={"title": "Llama", "digest": "0123456789abcdef"},
        engine=EngineDescription("mii", reads_weights=True),
        environment=STEADY_ENVIRONMENT,
        runs=[Run(samples=[Sample(100 / mean, 5, 100)] * 2) for mean in means],
    )


WORKLOAD_DEFAULTS = {"timeout_s": 30.0, "seed": 0}


def workload(**changes) -> Workload:
    return Workload(
        **{"prompt_tokens": 2600, "max_tokens": 60, "spread": 0.3, "seconds": 10.0, **WORKLOAD_DEFAULTS, **changes}
    )


GPU_UUID = "0f0e0d0c-0000-1111-2222-333344445555"


class Nvml:
    """Behaves like pynvml on a machine with one GPU that reports only what `answers` hold: function → answer."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN

    class NVMLError(Exception):
        pass

    def __init__(self, **answers):
        known = {f"GPU-{GPU_UUID}": "the handle"}
        self.answers = {"nvmlInit": "done", "nvmlDeviceGetHandleByUUID": known, **answers}

    def __getattr__(self, function: str):
        return partial(self._tell, function)

    def _tell(self, function: str, *arguments):
        reported = self.answers.get(function)
        if isinstance(reported, dict):
            reported = reported.get(arguments[-1])
        if reported is None:
            raise self.NVMLError
        return reported


def gpu_that(**answers) -> NvmlGpu:
    return NvmlGpu.find(Nvml(**{f"nvmlDeviceGet{name}": answer for name, answer in answers.items()}), GPU_UUID)


def on_gpu(*pids: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(pid=pid) for pid in pids]


DAMAGED = {
    "cut": "{",
    "empty": "",
    "list": "[]",
    "null": "null",
    "bare": '{"schema_version": 2}',
    "old": '{"schema_version": 1}',
    "deep": "[" * 100_000,
    "binary": b"\xff\xfe",
    "other fields": '{"schema_version": 2, "scenario": {"model": 3}}',
}
REASONS = dict.fromkeys(DAMAGED, "is not a") | dict.fromkeys(
    ("cut", "empty", "deep", "binary"), "is damaged, or is not JSON: "
)
"""Damage → what is said of a file with it, after its name."""


def save_ab(logs: Path, day: int, one: AbResult) -> Path:
    """A comparison of a day in January 2026."""
    folder = logs / one.a.scenario.model / "ab" / f"2026-01-{day:02}T10-00-00"
    folder.mkdir(parents=True)
    one.started_at = f"2026-01-{day:02}T10:00:00+00:00"
    one.save(folder / "ab.json")
    return folder


NO_SLA = {"ttft_s": None, "tpot_s": None}


def request_record(due_s: float = 0.0, first_s: float = 0.5, gap_s: float = 0.1, tokens: int = 5, **changes) -> Record:
    """A request whose first token comes `first_s` after it was due, and the others `gap_s` apart."""
    last_s = due_s + first_s + gap_s * (tokens - 1)
    made = {"sent_s": due_s, "first_s": due_s + first_s, "last_s": last_s, "prompt_tokens": 512, "max_tokens": tokens}
    gap = gap_s if tokens > 1 else None
    return Record(**{"due_s": due_s, **made, "new_tokens": tokens, "slowest_ema_s": gap, "error": None, **changes})


def level_of(records: list[Record], window_s: tuple[float, float] = (2.0, 12.0), **changes) -> Level:
    made = {"tokens_in_window": 0, "itl_s": {}, "generator_cpu_share": 0.1, "most_in_flight": 1, "records": records}
    return Level(**{"clients": 1, "rate": None, "window_s": window_s, **made, **changes})


SHAPE = {  # the tokenizer has 32,000 tokens; all else is as small as the kernels' head size lets it be
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "hidden_act": "silu",
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


TINY = ModelSpec("tiny", "Tiny", "none", {"kind": "hub", "repo": "nobody/tiny", "revision": "0" * 40}, SHAPE)


RANDOM = weights.Want("random", "transformers", "float32", 0)


RANDOM_MII = weights.Want("random", "mii", "bfloat16", 0)
