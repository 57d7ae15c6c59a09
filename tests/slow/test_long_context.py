"""The quality check late in the context: faults that show from thousands of tokens on, in small random models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import no_progress, save_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from bench_deepspeed.benchmarks.quality import reference, verdict
from bench_deepspeed.benchmarks.quality.assess import Task, assess
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.engines.base import Load
from bench_deepspeed.engines.transformers import TransformersEngine
from bench_deepspeed.machine.probe import NoProbe
from bench_deepspeed.worker.state import LoadedEngine, Worker

CONTEXT, NEW_TOKENS, WINDOW = 8192, 4, 512
PROMPTS = [[3, 4, 5, 6], [4, 3, 7]]
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,
}
SCALED = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}


def without_window(engine: TransformersEngine) -> None:
    """Each position attends to all before it."""
    engine.model.config.sliding_window = None
    for layer in engine.model.model.layers:
        layer.self_attn.sliding_window = None


def wrapped_positions(engine: TransformersEngine) -> None:
    """Positions from 1,500 on are taken for 1,500."""
    rotary = engine.model.model.rotary_emb
    forward = rotary.forward
    rotary.forward = lambda x, position_ids: forward(x, position_ids.clamp(max=1500))


FAULTS: dict[str, tuple[dict, Callable[[TransformersEngine], None]]] = {
    "llama": ({"rope_parameters": SCALED}, wrapped_positions),
    "mistral": ({"sliding_window": WINDOW}, without_window),
}


@pytest.fixture(scope="module", params=FAULTS)
def model(request, tmp_path_factory) -> tuple[Path, Callable[[TransformersEngine], None]]:
    """A folder with a small model, scaled positions in the one and a sliding window in the other, and a fault of it."""
    settings, fault = FAULTS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(request.param, **SIZES, **settings)).save_pretrained(folder)
    save_tokenizer(folder)
    return folder, fault


def judged(engine: TransformersEngine, truth: Path) -> dict:
    worker = Worker(no_progress)
    worker.use(LoadedEngine(engine, "cpu", NoProbe()))
    measures = verdict.measures(assess(worker, Task(truth, NEW_TOKENS, late=True)))
    return verdict.judge(measures, verdict.floor_of({"floor": None}, measures), "float32", own_kernels=False)


@pytest.mark.parametrize("late_tokens", [2048, 4096])
def test_a_fault_that_only_shows_late_is_found_late(model, tmp_path, late_tokens):
    folder, fault = model
    engine = TransformersEngine()
    engine.load(Load(folder, "cpu", "float32", tmp_path, [], NEW_TOKENS), no_progress)
    for place, tokens in (("default", None), ("late", late_tokens)):
        reference.compute(engine, PROMPTS, NEW_TOKENS, tmp_path / place, no_progress, late_tokens=tokens)
    (first, _) = reference.read_answers(tmp_path / "late")
    assert len(first["prefix_ids"]) == late_tokens
    assert judged(engine, tmp_path / "late")["words"] == "identical to float32"
    fault(engine)
    assert judged(engine, tmp_path / "default")["ok"]
    found = judged(engine, tmp_path / "late")
    assert {outside["place"] for outside in found["outside"]} == {"late"}, found["outside"]


def test_what_the_context_cannot_hold_is_refused_with_the_most_that_it_can():
    reference.require_room(PROMPTS, NEW_TOKENS, CONTEXT - 8, CONTEXT)
    reference.require_room(PROMPTS, NEW_TOKENS, None, CONTEXT)
    with pytest.raises(UsageError, match=r"--late_tokens 8185: a question of 4 tokens .* of 8192 .*: 8184 at most do"):
        reference.require_room(PROMPTS, NEW_TOKENS, CONTEXT - 7, CONTEXT)
