"""Checkpoints whose tensors are not the model's: refused wherever one is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import Bench, no_progress, save_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from bench_deepspeed.benchmarks.common.questions import QuestionSet
from bench_deepspeed.benchmarks.quality import reference
from bench_deepspeed.core.errors import WeightsError
from bench_deepspeed.engines import checkpoint, engine_class
from bench_deepspeed.engines.base import Load
from bench_deepspeed.weights import convert, store
from bench_deepspeed.worker.state import Worker

Tensors = dict[str, torch.Tensor]
Change = Callable[[Tensors], Tensors]

UP = "model.layers.1.mlp.up_proj.weight"
INV_FREQ = "model.layers.0.self_attn.rotary_emb.inv_freq"


def write(folder: Path, change: Change = dict, tied: bool = False) -> Path:
    """A random Llama of two layers with its tokenizer, whose tensors are then changed."""
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=128,
        tie_word_embeddings=tied,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    save_tokenizer(folder)
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return folder


def without(part: str) -> Change:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def adding(name: str, *shape: int) -> Change:
    """Add the tensor, or put it in place of the one with its name."""
    return lambda tensors: {**tensors, name: torch.ones(shape)}


def renamed(tensors: Tensors) -> Tensors:
    return {f"other.{name}": tensor for name, tensor in tensors.items()}


def one_renamed(tensors: Tensors) -> Tensors:
    return {name.replace("0.self_attn.q_proj", "0.self_attn.query"): tensor for name, tensor in tensors.items()}


def load_in(name: str) -> Callable[[Path], object]:
    """Load the checkpoint in an engine; of one token, so that none compiles."""
    return lambda folder: engine_class(name)().load(Load(folder, "cpu", "float32", folder, ["deep"], 1), no_progress)


def convert_for_mii(folder: Path) -> None:
    (folder / "mii").mkdir()
    convert.write(folder, "float16", folder / "mii", no_progress)


READERS = {
    "verify": checkpoint.verify,
    "conversion": convert_for_mii,
    **{engine: load_in(engine) for engine in ("transformers", "deepspeed", "transformers_compiled")},
}
RIGHT = {
    "as saved": (dict, False),
    "tied": (dict, True),
    "tied with an output head": (adding("lm_head.weight", 128, 64), True),
    "constants of old checkpoints": (adding(INV_FREQ, 8), False),
}
WRONG = {
    "all renamed": (
        renamed,
        False,
        "21 missing: lm_head.weight, model.embed_tokens.weight, model.layers.0.input_layernorm.weight, …; "
        "21 unexpected: other.lm_head.weight, other.model.embed_tokens.weight, other.model.layers.0",
    ),
    "all renamed, tied": (renamed, True, "20 unexpected: other.model.embed_tokens.weight"),
    "one renamed": (
        one_renamed,
        True,
        "1 missing: model.layers.0.self_attn.q_proj.weight; 1 unexpected: model.layers.0.self_attn.query.weight. ",
    ),
    "no query projections": (
        without("q_proj"),
        False,
        "2 missing: model.layers.0.self_attn.q_proj.weight, model.layers.1.self_attn.q_proj.weight. ",
    ),
    "a layer missing": (without("layers.1."), True, "9 missing: model.layers.1.input_layernorm.weight"),
    "an output head that is not tied missing": (without("lm_head"), False, "1 missing: lm_head.weight. "),
    "no embedding": (without("embed_tokens"), True, "missing: lm_head.weight, model.embed_tokens.weight. "),
    "an extra layer": (adding("model.layers.2.mlp.up_proj.weight", 96, 64), False, "1 unexpected: model.layers.2.mlp"),
    "an extra bias": (
        adding("model.layers.0.mlp.up_proj.bias", 96),
        True,
        "1 unexpected: model.layers.0.mlp.up_proj.bias",
    ),
    "another shape": (adding(UP, 90, 64), False, f"1 of another shape: {UP} (90 × 64, not 96 × 64). "),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(("change", "tied"), RIGHT.values(), ids=RIGHT)
def test_a_right_checkpoint_is_read(tmp_path, read, change, tied):
    read(write(tmp_path, change, tied))


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(("change", "tied", "words"), WRONG.values(), ids=WRONG)
def test_a_checkpoint_with_other_tensors_is_refused_with_their_names(tmp_path, read, change, tied, words):
    folder = write(tmp_path, change, tied)
    with pytest.raises(WeightsError) as refused:
        read(folder)
    message = str(refused.value)
    assert words in message
    assert message.startswith(f"{folder} does not hold the tensors of a LlamaForCausalLM")
    assert "\n" not in message


def test_what_transformers_declares_ignorable_is_no_fault(tmp_path, monkeypatch):
    folder = write(tmp_path, lambda tensors: adding("helper.table", 2)(without("norm.weight")(tensors)))
    monkeypatch.setattr(LlamaForCausalLM, "_keys_to_ignore_on_load_unexpected", [r"^helper\."])
    with pytest.raises(WeightsError, match="5 missing") as refused:
        checkpoint.verify(folder)
    assert "unexpected" not in str(refused.value)
    monkeypatch.setattr(LlamaForCausalLM, "_keys_to_ignore_on_load_missing", [r"norm\.weight$"])
    checkpoint.verify(folder)


def test_a_checkpoint_without_its_file_is_refused(tmp_path):
    (write(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="cannot be loaded: .*model.safetensors"):
        checkpoint.verify(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{}"),
        ("config.json", b"[]"),
        ("config.json", b"[" * 100_000),
        ("config.json", b'{"model_type": "llama", "hidden_size": "x"}'),
        ("config.json", b'{"model_type": "llama", "num_attention_heads": 0}'),
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 100),
    ],
    ids=lambda value: ascii(value[:50]),
)
def test_a_checkpoint_that_is_none_is_refused(tmp_path, name, content):
    """As the hub holds it: its digest is right."""
    folder = write(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be loaded: .") as refused:
        checkpoint.verify(folder)
    assert "\n" not in str(refused.value)


def test_names_that_only_transformers_understands_are_not_converted(tmp_path):
    """It adds the prefix of the base model where that is absent; MII does not."""
    folder = write(tmp_path, lambda tensors: {name.removeprefix("model."): t for name, t in tensors.items()})
    checkpoint.verify(folder)
    with pytest.raises(WeightsError, match=r"no tensor with the name model\.embed_tokens\.weight"):
        convert_for_mii(folder)


def test_the_quality_reference_is_not_computed_from_other_tensors(tmp_path):
    folder = write(tmp_path / "model", without("q_proj"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ messages[-1]['content'] }}"
    tokenizer.save_pretrained(folder)
    load = Load(folder, "cpu", "float32", tmp_path, [], 1)
    with pytest.raises(WeightsError, match="2 missing"):
        reference.prepare_reference(Worker(no_progress), load, "0" * 64, QuestionSet("", 1, ["deep"], [{}]))


def test_bench_refuses_other_tensors_as_weights_that_cannot_be_trusted(bench: Bench, tmp_path):
    """With one engine: that each refuses them is seen above."""
    folder = tmp_path / "models" / "smollm2" / "pretrained"
    write(store.partial_of(folder), renamed)
    store.publish(folder, {"weights": "pretrained"}, no_progress)
    places = ("--models_dir", "models", "--output_dir", "out")
    done = bench("-d", "cpu", "-n", "smollm2", "--engine", "deepspeed", "-m", "1", "-p", "deep", "-r", "1", *places)
    assert done.returncode == 4
    assert done.stdout == ""
    assert "21 missing: lm_head.weight" in done.stderr.splitlines()[-1]
    (path,) = tmp_path.glob("out/smollm2/*/result.json")
    assert json.loads(path.read_text())["status"] == "failed"
