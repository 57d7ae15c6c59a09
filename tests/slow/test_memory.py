"""Memory in its parts: the real SmolLM2 on the CPU, and the arithmetic of a GPU's."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from support import no_progress
from transformers import AutoConfig

from bench_deepspeed.engines.base import Load
from bench_deepspeed.engines.memory import measure
from bench_deepspeed.engines.mii import MiiEngine
from bench_deepspeed.engines.transformers import TransformersEngine
from bench_deepspeed.measure.records import Memory
from bench_deepspeed.model import catalog

PROMPT = "Write an essay about the transformer model architecture"
ON_THE_GPU_ONLY = ("workspace_bytes", "device_peak_bytes", "driver_bytes")


@pytest.fixture(scope="module")
def engine(smollm2_models_dir, tmp_path_factory) -> TransformersEngine:
    loaded = TransformersEngine()
    folder = smollm2_models_dir / "smollm2" / "pretrained"
    loaded.load(Load(folder, "cpu", "float32", tmp_path_factory.mktemp("log"), [PROMPT], 9), no_progress)
    return loaded


def memory_of(engine: TransformersEngine, max_tokens: int) -> Memory:
    engine.reset_memory_peak()
    engine.generate(PROMPT, max_tokens)
    return engine.memory()


def test_the_parts_of_a_real_model_are_what_its_shape_says(engine):
    shape = AutoConfig.from_pretrained(engine.model.name_or_path)
    prompt_tokens = len(engine.tokenizer(PROMPT).input_ids)
    found = memory_of(engine, 9)
    assert found.weights_bytes == 4 * catalog.load("smollm2").parameters
    # Keys and values of every token but the last, which nothing has read yet.
    a_token = 2 * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim * 4
    assert found.kv_used_bytes == a_token * (prompt_tokens + 9 - 1)
    assert found.kv_pool_bytes is None
    assert found.host_peak_bytes > found.weights_bytes + found.kv_used_bytes
    assert [getattr(found, part) for part in ON_THE_GPU_ONLY] == [None, None, None]


def test_a_longer_answer_fills_more_and_a_shorter_one_less(engine):
    long, short = memory_of(engine, 8), memory_of(engine, 2)
    assert long.kv_used_bytes > short.kv_used_bytes > 0


def test_nothing_is_left_in_the_way_of_a_timed_generation(engine):
    memory_of(engine, 2)
    assert not engine.model._forward_hooks


@pytest.mark.parametrize(("kv_pool", "workspace"), [(None, 1000 - 600 - 50), (200, 1000 - 600 - 200)])
def test_the_workspace_is_the_peak_without_weights_and_cache(monkeypatch, kv_pool, workspace):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 1000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (7000, 9500))
    found = measure(600, kv_pool, 50, on_gpu=True)
    assert found.workspace_bytes == workspace
    assert (found.device_peak_bytes, found.driver_bytes) == (1000, 2500)
    assert (found.weights_bytes, found.kv_pool_bytes, found.kv_used_bytes) == (600, kv_pool, 50)


class Pipeline:
    """In place of MII's: a pool of ten blocks of 64 bytes, and a generation that fills some and frees them."""

    def __init__(self):
        cache = SimpleNamespace(nbytes=640)
        self.inference_engine = SimpleNamespace(
            free_blocks=[10],
            _state_manager=SimpleNamespace(_kv_cache=SimpleNamespace(_caches=(cache,))),
            _model=SimpleNamespace(flattened_params=SimpleNamespace(nbytes=5000)),
        )

    def put(self, uids, _tokens):
        self.inference_engine.free_blocks = [self.inference_engine.free_blocks[0] - 1]
        return uids

    def generate(self, steps: int) -> None:
        for step in range(steps):
            assert self.put([step], [0]) == [step]
        self.inference_engine.free_blocks = [10]


def test_miis_pool_is_watched_while_the_sequence_lives(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 7000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, 9000))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    engine = MiiEngine()
    engine.pipeline, engine._blocks = Pipeline(), 10
    for steps in (4, 3):  # the second pass knows nothing of the first
        engine.reset_memory_peak()
        engine.pipeline.generate(steps)
        found = engine.memory()
        assert found.kv_used_bytes == 64 * steps
        assert "put" not in vars(engine.pipeline)
    reported = dataclasses.asdict(found)
    assert reported.pop("host_peak_bytes") != 0
    assert reported.pop("ranks") == []
    assert reported == {
        "weights_bytes": 5000,
        "kv_pool_bytes": 640,
        "kv_used_bytes": 192,
        "workspace_bytes": 1360,
        "device_peak_bytes": 7000,
        "driver_bytes": 9000,
    }
