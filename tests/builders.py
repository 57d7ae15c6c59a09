"""What tests of more than one folder are built from."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pynvml
from support import ROOT, error_of

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.ab.records import AbResult, Round
from bench_deepspeed.benchmarks.load.records import Level, LoadResult, Record, Workload
from bench_deepspeed.benchmarks.selftest.measure import KNOWN_S
from bench_deepspeed.benchmarks.sweep.records import SweepResult
from bench_deepspeed.machine.gpu import NvmlGpu
from bench_deepspeed.measure.records import EngineDescription, Environment, Gpu, Result, Run, Sample, Scenario
from bench_deepspeed.model.catalog import ModelSpec

AB_SCENARIO = Scenario("smollm2", "fake", "cpu", "float32", "pretrained", "hello", 8, 2, 2, 0, 0)


def saved_ab(folder: Path) -> AbResult:
    """The only comparison below `out`."""
    (path,) = folder.glob("out/*/ab/*/ab.json")
    return AbResult.load(path)


def fake_side(**behaviour) -> str:
    """The fake engine with a behaviour of its own."""
    return f"engine=fake env.BENCH_FAKE='{json.dumps(behaviour)}'"


def comparison_of(*pairs: tuple[list[float], list[float]]) -> AbResult:
    """A comparison of these seconds: A's and B's of each pair."""
    a, b = ([Run(load_s=1.0, samples=[Sample(s, 3, 8) for s in pair[n]]) for pair in pairs] for n in (0, 1))
    orders = [[Round("AB", {"A": 0.0, "B": 0.0}) for _ in pair[0]] for pair in pairs]
    return AbResult(Result(AB_SCENARIO, runs=a), Result(AB_SCENARIO, runs=b), {"A": {}, "B": {}}, rounds=orders)


LIBRARIES = {"torch", "transformers", "deepspeed", "mii"}

STATISTICS = {"numpy", "scipy", "diptest", "altair", "vl_convert", "jinja2"}


def gpu_path(folder: Path, *rows: str) -> dict[str, str]:
    """The environment of a machine whose nvidia-smi answers every question with these rows."""
    script = folder / "nvidia-smi"
    script.write_text("#!/bin/sh\n" + "".join(f"echo '{row}'\n" for row in rows))
    script.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def imported_by(*arguments: str, cwd: Path) -> set[str]:
    """The modules that the suite's own process imports; what a worker imports is not among them."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bench_deepspeed", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "BENCH_PYTHON": sys.executable},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "bench_deepspeed.cli.parser" in modules
    return modules


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


README = ROOT / "README.md"

METHODOLOGY = ROOT / "docs" / "methodology.md"

PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def section(title: str) -> str:
    """What stands under a heading of the methodology, up to the next heading."""
    return re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", METHODOLOGY.read_text(), re.M | re.S)[1]


def documented(title: str) -> list[str]:
    """The names in the first column of the table under a heading."""
    first = re.findall(r"^\| (`[^|]*`) \|", section(title), re.M)
    return re.findall(r"`(\w+)`", " ".join(first))


def saved_load(folder: Path) -> LoadResult:
    (path,) = folder.glob("out/*/load/*/load.json")
    return LoadResult.load(path)


WORKLOAD_DEFAULTS = {"timeout_s": 30.0, "seed": 0}


def workload(**changes) -> Workload:
    return Workload(
        **{"prompt_tokens": 2600, "max_tokens": 60, "spread": 0.3, "seconds": 10.0, **WORKLOAD_DEFAULTS, **changes}
    )


GPU_UUID = "0f0e0d0c-0000-1111-2222-333344445555"


class Nvml:
    """Behaves like pynvml on a machine with one GPU that tells only what `answers` hold: function → answer."""

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
        told = self.answers.get(function)
        if isinstance(told, dict):
            told = told.get(arguments[-1])
        if told is None:
            raise self.NVMLError
        return told


def gpu_that(**answers) -> NvmlGpu:
    return NvmlGpu.find(Nvml(**{f"nvmlDeviceGet{name}": answer for name, answer in answers.items()}), GPU_UUID)


def on_gpu(*pids: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(pid=pid) for pid in pids]


DAMAGED = {
    "cut": "{",
    "empty": "",
    "list": "[]",
    "old": '{"schema_version": 1}',
    "deep": "[" * 100_000,
    "binary": b"\xff\xfe",
    "other fields": '{"schema_version": 2, "scenario": {"model": 3}}',
}


def save_ab(logs: Path, day: int, one: AbResult) -> Path:
    """A comparison of a day in January 2026."""
    folder = logs / one.a.scenario.model / "ab" / f"2026-01-{day:02}T10-00-00"
    folder.mkdir(parents=True)
    one.started_at = f"2026-01-{day:02}T10:00:00+00:00"
    one.save(folder / "ab.json")
    return folder


def selftest_report(folder) -> dict:
    (path,) = folder.glob("out/selftest/*/selftest.json")
    return json.loads(path.read_text())


def check_selftest(done, report: dict, name: str) -> None:
    """What holds on an idle machine and on a busy one."""
    assert done.returncode in (0, 1), done
    *known, nested, real = report["comparisons"]
    assert [comparison["asked_s"] for comparison in known] == list(KNOWN_S)
    for comparison in known:
        assert min(comparison["harness_s"]) >= comparison["asked_s"]
    assert [(c["name"], c["asked_s"]) for c in (nested, real)] == [
        (f"{name}, nested", None),
        (f"{name}, in turn", None),
    ]
    assert all(whole > inner for whole, inner in zip(nested["harness_s"], nested["bare_s"], strict=True))
    for comparison in report["comparisons"]:
        assert len(comparison["harness_s"]) == len(comparison["bare_s"]) > 0
        assert comparison["verdict"] in ("pass", "fail", "not shown")
        assert comparison["name"] in done.stdout
    *decisive, in_turn = [comparison["verdict"] for comparison in report["comparisons"]]
    passed = set(decisive) == {"pass"} and in_turn != "fail"
    assert (done.returncode == 0) == passed
    assert passed or error_of(done.stderr.split("\r")[-1])


def sweep_path(folder: Path) -> Path | None:
    return next(folder.glob("out/*/*/sweep.json"), None)


def sweep_of(folder: Path) -> SweepResult:
    """The only sweep below `out`."""
    (path,) = folder.glob("out/*/*/sweep.json")
    return SweepResult.load(path)


def titles(stdout: str) -> list[str]:
    """The columns of the printed table."""
    line = next(line for line in stdout.splitlines() if line.startswith("|"))
    return [cell.strip() for cell in line.strip("|").split("|")]


STUB = ("load", "--target", "stub", "--output_dir", "out")


def behave(**behaviour) -> dict[str, str]:
    return {"BENCH_STUB": json.dumps({"first_s": 0.002, "gap_s": 0.001, **behaviour})}


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


FEW = ("--max_tokens", "2", "-r", "1")
SHORTEST = {
    "run": ("-d", "cpu", "--engine", "fake", "--processes", "1", "--warmups", "0", *FEW),
    "sweep": ("sweep", "-d", "cpu", "--engines", "fake", "--batch_sizes", "1", "--prompt_tokens", "8,9", *FEW),
    "load": ("load", "-d", "cpu", "--target", "stub", "--seconds", "1", "--clients", "1"),
}
"""Command → the least that it can measure with nothing real."""


def result_in(folder: Path) -> dict:
    """The only result of the only run below `out`."""
    (path,) = [path for path in folder.glob("out/**/*.json") if path.stem in ("result", "sweep", "load")]
    return json.loads(path.read_text(encoding="utf-8"))


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
