"""Rows as llama.cpp's `llama-bench -o jsonl` writes them, for what reads those, such as its compare-llama-bench.py.

The fields are those of scripts/compare-llama-bench.py at ggml-org/llama.cpp 05f3b20. As there, t/s count the tokens of
prompts and answers alike, and `n_depth` tokens are in the context before the test begins. Of fields for settings that
only llama.cpp has the value is that of its default.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench_deepspeed.core.capabilities import cell
from bench_deepspeed.measure.records import Environment
from bench_deepspeed.model import arithmetic, catalog

HASH = 8
"""Digits of a commit; the script warns of hashes that are not all as long."""
TYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
"""Precision of the KV cache → its name there."""
OWN = {
    "build_number": 0,
    "cpu_mask": "0x0",
    "cpu_strict": 0,
    "poll": 50,
    "main_gpu": 0,
    "no_kv_offload": 0,
    "flash_attn": 0,
    "tensor_split": "0.00",
    "tensor_buft_overrides": "none",
    "use_mmap": 0,
    "embeddings": 0,
    "no_op_offload": 0,
}
"""llama.cpp's own settings."""


@dataclass(frozen=True)
class Engine:
    """What was measured, and where; `started_at` as an ISO 8601 time."""

    model: str
    weights: str
    engine: str
    precision: str
    device: str
    ranks: int
    started_at: str
    environment: Environment


@dataclass(frozen=True)
class Test:
    """So many tokens of a prompt and new ones, after `depth` others, of each of `batch` sequences at once.

    `seconds` has each repetition's.
    """

    prompt: int
    new: int
    depth: int
    batch: int
    seconds: Sequence[float]


def record(of: Engine, test: Test) -> dict[str, object]:
    """One test as a row."""
    spec, runs, where = catalog.load(of.model), cell(of.engine, of.device, of.precision), of.environment
    on_gpu = of.device == "cuda"
    rates = [test.batch * (test.prompt + test.new) / seconds for seconds in test.seconds]
    nanoseconds = [round(seconds * 1e9) for seconds in test.seconds]
    random = ", random weights" if of.weights == "random" else ""
    return {
        **OWN,
        "build_commit": (where.commit or "not recorded")[:HASH],
        "cpu_info": where.cpu or "",
        "gpu_info": (where.gpu_used or "") if on_gpu else "",
        "backends": f"{of.engine}, {'CUDA' if on_gpu else 'CPU'}",
        "model_filename": of.model,
        "model_type": f"{spec.title} {of.precision}{random}",
        "model_size": arithmetic.weight_bytes(spec, runs.compute, runs.packing),
        "model_n_params": spec.parameters,
        "n_batch": test.batch,
        "n_ubatch": test.batch,
        "n_threads": where.torch_threads or 0,
        "type_k": TYPES[runs.compute],
        "type_v": TYPES[runs.compute],
        "n_gpu_layers": spec.shape["num_hidden_layers"] if on_gpu else 0,
        "split_mode": "row" if of.ranks > 1 else "none",
        "n_prompt": test.prompt,
        "n_gen": test.new,
        "n_depth": test.depth,
        "test_time": of.started_at,
        "avg_ns": round(statistics.fmean(nanoseconds)),
        "stddev_ns": round(_deviation(nanoseconds)),
        "avg_ts": statistics.fmean(rates),
        "stddev_ts": _deviation(rates),
        "samples_ns": nanoseconds,
        "samples_ts": rates,
    }


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
