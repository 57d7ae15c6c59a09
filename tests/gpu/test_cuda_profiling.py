"""What only a GPU can prove of the profile: that the profiler sees the engine's kernels."""

from __future__ import annotations

import pytest
from support import ROOT, no_progress

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.run import profile, step
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load
from bench_deepspeed.measure.records import Profile
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess
from bench_deepspeed.worker.latency import RESERVE_TOKENS

pytestmark = pytest.mark.gpu
PROMPT = "Write an essay about the transformer model architecture"
MAX_TOKENS = 512
LAYERS = 30  # SmolLM2's


def profiles_of(engine: str, folder) -> list[Profile]:
    """Profile the real SmolLM2 in worker processes, as a run does."""
    want = weights.Want("pretrained", engine_class(engine).form, "float16", 0)
    log = folder / "worker.log"
    with WorkerProcess(log, no_progress) as worker:
        ready = worker.call(tasks.prepare_weights, ROOT / "models", "smollm2", want)
    load = Load(ready.folder, "cuda", "float16", folder, [PROMPT], MAX_TOKENS, RESERVE_TOKENS)
    with WorkerProcess(log, no_progress) as worker:
        worker.call(tasks.load, engine, load)
        return worker.call(tasks.profile, PROMPT, MAX_TOKENS)


@pytest.mark.parametrize("engine", ["mii", "transformers"])
def test_the_kernels_of_a_step_are_seen(engine, tmp_path):
    decode, prefill = profiles_of(engine, tmp_path)
    profile.write(tmp_path, [decode, prefill], f"SmolLM2 · {engine}")
    print((tmp_path / "profile.txt").read_text())
    assert (decode.steps, prefill.steps) == (32, 1)
    assert 500 <= prefill.prompt_tokens <= 512
    assert 0 < decode.busy_s < decode.step_s
    for found in (decode, prefill):
        assert found.busy_s > 0
        parts = step.families(found)
        assert {"matrix products", "attention"} <= set(parts)
        assert parts.get("other", 0.0) < 0.2 * found.busy_s
        attention = sum(k.calls for k in found.kernels if step.family(k.name) == "attention")
        assert attention >= LAYERS
        assert found.host_functions
        assert not any(share.name.startswith("/") for share in found.host_functions)
