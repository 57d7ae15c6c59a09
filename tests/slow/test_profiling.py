"""What holds it back: the profile's arithmetic, its words and its picture, and a real engine under it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support import no_progress

from bench_deepspeed.benchmarks.run import step
from bench_deepspeed.engines.base import Load
from bench_deepspeed.engines.deepspeed import DeepSpeedEngine
from bench_deepspeed.measure.records import Profile, Sample
from bench_deepspeed.worker import profiling, tasks
from bench_deepspeed.worker.profiling import function_name
from bench_deepspeed.worker.state import Worker

PROMPT = "Write an essay about the transformer model architecture"
TOKENS = 4
LAYERS = 2  # the small model's
MATRIX_PRODUCTS = 7 * LAYERS + 1  # q, k, v, o, gate, up and down of each layer, and the output head


@pytest.fixture(scope="module")
def model(small_models_dir) -> Path:
    return small_models_dir / "smollm2" / "pretrained"


@pytest.fixture(scope="module")
def engine(model, tmp_path_factory) -> DeepSpeedEngine:
    """The small model in DeepSpeed: a step of it is traced in a tenth of the time that the real SmolLM2 takes."""
    loaded = DeepSpeedEngine()
    loaded.load(Load(model, "cpu", "float32", tmp_path_factory.mktemp("logs"), [PROMPT], TOKENS), no_progress)
    return loaded


class Clock:
    """Real generations of an engine, 0.1 s a token by its own time: the machine's load cannot fail a test."""

    def __init__(self, engine: DeepSpeedEngine):
        self.engine = engine

    def __call__(self, prompt: str, max_tokens: int) -> Sample:
        generation = self.engine.generate(prompt, max_tokens)
        return Sample(0.1 * max_tokens, generation.prompt_tokens, generation.new_tokens)


def profile_of(engine: DeepSpeedEngine, device: str, max_tokens: int) -> list[Profile]:
    return profiling.profile(engine, Clock(engine), device, prompt=PROMPT, max_tokens=max_tokens)


def test_a_decode_step_has_its_matrix_products(engine):
    base, whole = (profiling._trace(Clock(engine), "cpu", PROMPT, tokens) for tokens in (1, TOKENS))
    calls = {share.name: share.calls for share in whole.shares(base, TOKENS - 1)}
    assert calls["aten::mm"] == MATRIX_PRODUCTS
    assert calls["aten::_scaled_dot_product_flash_attention_for_cpu"] == LAYERS
    assert calls["aten::argmax"] == 1


def test_a_model_has_a_profile_of_either_phase(engine, monkeypatch):
    monkeypatch.setattr(profiling, "REPEATS", 1)
    monkeypatch.setattr(profiling, "PREFILL_TOKENS", 64)
    decode, prefill = profile_of(engine, "cpu", TOKENS)
    assert (decode.phase, decode.steps, decode.prompt_tokens) == ("decode", TOKENS - 1, 8)
    assert (prefill.phase, prefill.steps, prefill.prompt_tokens) == ("prefill", 1, 64)
    for found in (decode, prefill):
        assert (found.device, found.step_s) == ("cpu", pytest.approx(0.1))
        assert len(found.host_functions) == profiling.HOST_FUNCTIONS
        assert found.host_functions == sorted(found.host_functions, key=lambda share: -share.seconds)
        assert [share.name for share in found.host_functions if share.name.startswith("/")] == []
    calls = {share.name: share.calls for share in [*prefill.kernels, *prefill.host_functions]}
    assert calls["aten::mm"] == MATRIX_PRODUCTS
    assert calls["<built-in method torch._C._nn.linear>"] == MATRIX_PRODUCTS
    assert any(name.startswith("transformers/models/llama/modeling_llama.py:") for name in calls)


def test_a_gpu_that_the_profiler_cannot_see_is_not_measured(engine, capsys, monkeypatch):
    monkeypatch.setattr(profiling, "REPEATS", 1)
    monkeypatch.setattr(profiling, "PREFILL_TOKENS", 64)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # hidden from it, as where CUPTI is not permitted
    (found,) = profile_of(engine, "cuda", 1)
    assert (found.busy_s, found.kernels) == (None, [])
    assert found.host_functions
    assert step.bottleneck(found) == "not measured"
    assert "CUPTI" in capsys.readouterr().out


def test_functions_are_named_without_a_path_or_an_address():
    outside = compile("lambda: 0", "/somewhere/private/module.py", "eval").co_consts[0]
    method = function_name(torch.nn.Module.__getattr__.__code__)
    assert method in {"torch/nn/modules/module.py:Module.__getattr__", "torch/nn/modules/module.py:__getattr__"}
    assert function_name(json.loads.__code__) == "json/__init__.py:loads"
    assert function_name(outside) == "module.py:<lambda>"
    assert function_name("<built-in method x of type object at 0x7f00dead>") == "<built-in method x of type object>"


def test_one_token_has_a_prefill_and_no_decode_step():
    worker = Worker(no_progress)
    tasks.load(worker, "fake", Load(None, "cpu", "float32", Path(), [], 1))
    (prefill,) = tasks.profile(worker, "one two three", 1)
    assert (prefill.phase, prefill.prompt_tokens, prefill.kernels) == ("prefill", 3, [])
    assert prefill.step_s >= 0.01  # what the fake engine takes by default
    assert step.bottleneck(prefill) == "not measured"
