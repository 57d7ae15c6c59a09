"""What only a GPU can prove of latency and memory: MII's own pipelines, loaded as the runner loads them."""

from __future__ import annotations

import pytest
from support import ROOT, no_progress

from bench_deepspeed import weights
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load
from bench_deepspeed.model import catalog
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

pytestmark = pytest.mark.gpu
PROMPT = "Write an essay about the transformer model architecture"
NEW_TOKENS = 32
ENGINES = ("mii", "transformers", "deepspeed")


def load_of(engine: str, folder, **more) -> Load:
    want = weights.Want("pretrained", engine_class(engine).form, "float16", 0)
    ready = weights.prepare(ROOT / "models", catalog.load("smollm2"), want, no_progress)
    return Load(ready.folder, "cuda", "float16", folder, [PROMPT], NEW_TOKENS, **more)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_token_of_a_stream_is_timed(engine, tmp_path):
    with WorkerProcess(tmp_path / "worker.log", no_progress) as worker:
        alone = engine_class(engine).streams_in_own_process
        worker.call(tasks.load, engine, load_of(engine, tmp_path, streaming=alone))
        measured = worker.call(tasks.measure_latency, PROMPT, NEW_TOKENS, 3)
    assert measured.method == "streamed"
    assert [len(gaps) for gaps in measured.itl_s] == [NEW_TOKENS - 1] * 3
    for first, last, gaps in zip(measured.ttft_s, measured.e2e_s, measured.itl_s, strict=True):
        assert first > 0
        assert last == pytest.approx(first + sum(gaps), abs=NEW_TOKENS * 1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_long_prompt_and_the_parts_of_memory(engine, tmp_path):
    with WorkerProcess(tmp_path / "worker.log", no_progress) as worker:
        worker.call(tasks.load, engine, load_of(engine, tmp_path, reserve_tokens=513))
        prefill = worker.call(tasks.measure_prefill, PROMPT, 512, 3)
        memory = worker.call(tasks.measure_memory, PROMPT, NEW_TOKENS)
        worker.call(tasks.generate, PROMPT, NEW_TOKENS)
    assert 510 <= prefill.prompt_tokens <= 512
    assert min(prefill.seconds) > 0
    assert memory.weights_bytes > 0
    assert memory.workspace_bytes > 0
    assert 0 < memory.kv_used_bytes <= (memory.kv_pool_bytes or memory.kv_used_bytes)
    cache = memory.kv_pool_bytes or memory.kv_used_bytes
    assert memory.device_peak_bytes == memory.weights_bytes + cache + memory.workspace_bytes
    assert memory.driver_bytes >= memory.device_peak_bytes
    assert (memory.kv_pool_bytes is not None) == (engine == "mii")
