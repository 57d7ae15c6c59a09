"""Whether a model fits, asked before its weights are fetched."""

from __future__ import annotations

import pytest

from bench_deepspeed.benchmarks.common import memory
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.records import Gpu
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import Want

LLAMA = catalog.load("llama")
NEEDED = {"float32": 4 * LLAMA.parameters + memory.WORKSPACE_BYTES, "float16": 2 * LLAMA.parameters + 10**9}


@pytest.mark.parametrize("precision", NEEDED)
def test_a_model_that_does_not_fit_is_refused_and_one_that_just_fits_is_not(monkeypatch, precision):
    want = Want("pretrained", "transformers", precision, 0)
    monkeypatch.setattr(environment, "memory_bytes", lambda: NEEDED[precision])
    memory.require_memory(LLAMA, want, "cpu")
    monkeypatch.setattr(environment, "memory_bytes", lambda: NEEDED[precision] - 1)
    with pytest.raises(
        MachineError, match=f"llama, loaded in {precision}, takes .* GB of memory and the cpu has .* GB: use a"
    ):
        memory.require_memory(LLAMA, want, "cpu")


def test_on_a_gpu_the_largest_counts_and_an_unknown_one_is_not_refused(monkeypatch):
    want = Want("pretrained", "mii", "float16", 0)
    gpus = [Gpu("small", "9.0", 8 << 10, "580"), Gpu("large", "9.0", 80 << 10, "580")]
    monkeypatch.setattr(environment, "gpus", lambda: gpus)
    memory.require_memory(LLAMA, want, "cuda")
    monkeypatch.setattr(environment, "gpus", lambda: gpus[:1])
    with pytest.raises(MachineError, match="the cuda has 8.59 GB"):
        memory.require_memory(LLAMA, want, "cuda")
    monkeypatch.setattr(environment, "gpus", list)
    memory.require_memory(LLAMA, want, "cuda")
