"""What only a GPU can prove of compiled decode steps: CUDA graphs, and that nothing is recorded again."""

from __future__ import annotations

import pytest
import torch
from support import ROOT, no_progress

from bench_deepspeed import weights
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Engine, Load
from bench_deepspeed.measure.records import Result
from bench_deepspeed.model import catalog
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.latency import RESERVE_TOKENS
from bench_deepspeed.worker.state import Worker

pytestmark = pytest.mark.gpu
PROMPT = "Write an essay about the transformer model architecture"
NEW_TOKENS = 64
SHORT = ("-d", "cuda", "-n", "smollm2", "-r", "3", "-m", str(NEW_TOKENS), "--processes", "1", "--no_quality")


@pytest.fixture(scope="module")
def folder():
    want = weights.Want("pretrained", "transformers", "float16", 0)
    return weights.prepare(ROOT / "models", catalog.load("smollm2"), want, no_progress).folder


def load_of(folder, log_folder) -> Load:
    return Load(folder, "cuda", "float16", log_folder, [PROMPT], NEW_TOKENS, RESERVE_TOKENS)


@pytest.fixture(scope="module")
def worker() -> Worker:
    return Worker(no_progress)


@pytest.fixture(scope="module", autouse=True)
def loaded(worker, folder, tmp_path_factory) -> tasks.Loaded:
    """The worker has the engine loaded."""
    return tasks.load(worker, "transformers_compiled", load_of(folder, tmp_path_factory.mktemp("log")))


@pytest.fixture(scope="module")
def eager(folder, tmp_path_factory) -> Engine:
    engine = engine_class("transformers")()
    engine.load(load_of(folder, tmp_path_factory.mktemp("log")), no_progress)
    return engine


def test_it_compiles_and_records_while_it_loads(loaded):
    assert loaded.compile_s > 0
    assert loaded.engine.cuda_graphs >= 1
    assert torch._dynamo.utils.counters["inductor"]["cudagraph_skips"] == 0


def test_each_decode_step_replays_a_cuda_graph(worker):
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        tasks.generate(worker, PROMPT, NEW_TOKENS)
    launches = sum(event.count for event in profiler.key_averages() if event.key == "cudaGraphLaunch")
    assert launches == NEW_TOKENS - 1


def test_nothing_is_compiled_or_recorded_again_in_what_a_run_times(worker):
    def compilations_of(max_tokens: int) -> int:
        return tasks.generate(worker, PROMPT, max_tokens).reading.compilations

    assert [compilations_of(NEW_TOKENS), compilations_of(1), compilations_of(NEW_TOKENS)] == [0, 0, 0]
    tasks.measure_prefill(worker, PROMPT, 512, 1)
    tasks.measure_latency(worker, PROMPT, NEW_TOKENS, 1)
    tasks.profile(worker, PROMPT, NEW_TOKENS)
    assert compilations_of(NEW_TOKENS) == 0


def test_the_logits_are_those_of_transformers_as_near_as_float16_is(worker, eager):
    ids = eager.tokenizer(PROMPT).input_ids
    answer = eager.answer(ids, NEW_TOKENS)
    ours, theirs = worker.engine.logits(ids, answer), eager.logits(ids, answer)
    spacing = torch.finfo(torch.float16).eps * theirs.abs().max()
    assert (ours - theirs).abs().max() < 32 * spacing
    agreement = (ours.argmax(-1) == theirs.argmax(-1)).float().mean()
    assert agreement > 0.9  # at a near-tie one rounding decides


def test_the_static_cache_is_the_pool(worker):
    memory = tasks.measure_memory(worker, PROMPT, NEW_TOKENS)
    assert 0 < memory.kv_used_bytes < memory.kv_pool_bytes
    parts = memory.weights_bytes + memory.kv_pool_bytes + memory.workspace_bytes
    assert memory.device_peak_bytes == parts


def test_a_run_is_whole_and_without_that_warning(bench, tmp_path):
    done = bench(*SHORT, "--engine", "transformers_compiled", "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("smollm2/*/result.json")
    result = Result.load(path)
    (run,) = result.runs
    assert run.compile_s > 0
    assert [sample.reading.compilations for sample in run.samples] == [0, 0, 0]
    assert "recompiled" not in {warning["code"] for warning in result.warnings}
    assert result.latency.method == "streamed"
    assert result.prefill.prompt_tokens >= 500
    assert {profile.phase for profile in result.profiles} == {"decode", "prefill"}
