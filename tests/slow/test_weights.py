"""Weights on disk: conversion value for value, random values, and folders that are whole or absent."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from builders import RANDOM, RANDOM_MII, SHAPE, TINY
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support import no_progress
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaConfig, MistralConfig, Qwen2Config

from bench_deepspeed import weights
from bench_deepspeed.core.errors import MachineError, WeightsError
from bench_deepspeed.model import arithmetic, catalog, from_config
from bench_deepspeed.model.catalog import ModelSpec
from bench_deepspeed.weights import convert, random, shards, store

CONFIGS = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config}


def tiny_model(folder: Path, kind: str = "llama", ratio: int = 3, tied: bool = True, dtype: str = "float32", **shape):
    """A real model of two layers in `folder`; its weights are large enough for logits to differ."""
    config = CONFIGS[kind](
        **{
            "vocab_size": 128,
            "hidden_size": 96,
            "intermediate_size": 160,
            "num_hidden_layers": 2,
            "num_attention_heads": 2 * ratio,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "max_position_embeddings": 128,
            "initializer_range": 0.2,
            "tie_word_embeddings": tied,
            **shape,
        }
    )
    torch.manual_seed(ratio)
    model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype))
    for name, value in model.named_parameters():
        if name.endswith(".bias"):  # zeros otherwise
            torch.nn.init.normal_(value)
    model.save_pretrained(folder)


def converted(source: Path, precision: str) -> Path:
    folder = source.with_name(f"converted-{precision}")
    folder.mkdir()
    convert.write(source, precision, folder, no_progress)
    return folder


def logits(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.randint(0, model.config.vocab_size, (2, 17), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model(tokens).logits


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: t for path in folder.glob("*.safetensors") for name, t in load_file(path).items()}


def heads(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1, 64, tensor.shape[-1])


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")}


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}


@pytest.mark.parametrize(
    ("change", "stored", "wanted", "needed"),
    [
        ({}, "float16", "float16", False),
        ({}, "float16", "bfloat16", True),
        ({"tie_word_embeddings": True}, "float16", "float16", True),
        ({"num_attention_heads": 3}, "float16", "float16", True),
    ],
    ids=["as it is", "precision", "tied", "ratio"],
)
def test_is_needed(change, stored, wanted, needed):
    assert convert.is_needed({**SHAPE, **change}, stored, wanted) is needed


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("ratio", [3, 4])
@pytest.mark.parametrize("kind", CONFIGS)
def test_conversion_keeps_every_logit(tmp_path, kind, ratio, tied, dtype):
    source = tmp_path / "source"
    tiny_model(source, kind, ratio, tied, dtype)
    folder = converted(source, "float32")
    expected = logits(source)
    assert expected.std() > 0.1
    assert torch.equal(logits(folder), expected)
    config = AutoConfig.from_pretrained(folder)
    assert config.model_type == kind
    assert config.num_attention_heads // config.num_key_value_heads in arithmetic.KERNEL_RATIOS
    assert config.num_key_value_heads == {3: 6, 4: 2}[ratio]
    assert config.tie_word_embeddings is False


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("ratio", [3, 4])
def test_conversion_rounds_each_tensor_once(tmp_path, ratio, dtype, precision):
    source = tmp_path / "source"
    tiny_model(source, ratio=ratio, dtype=dtype)
    before, after = tensors(source), tensors(converted(source, precision))
    wanted = getattr(torch, precision)
    assert set(after) == {*before, convert.HEAD}
    assert torch.equal(after[convert.HEAD], before[convert.EMBEDDING].to(wanted))
    for name, tensor in before.items():
        expected = tensor.to(wanted)
        if ratio == 3 and name.endswith(("k_proj.weight", "v_proj.weight")):
            expected = torch.cat([head for head in heads(expected) for _ in range(3)])
        assert after[name].dtype == wanted
        assert torch.equal(after[name], expected), name


def test_conversion_leaves_out_what_mii_refuses(tmp_path):
    source = tmp_path / "source"
    tiny_model(source, tied=False)
    extra = {**tensors(source), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(32)}
    shards.write(source, {name: t.nbytes for name, t in extra.items()}, extra.get, "test", no_progress)
    assert set(tensors(converted(source, "float16"))) == set(extra) - {"model.layers.0.self_attn.rotary_emb.inv_freq"}


def test_conversion_from_and_to_several_shards(tmp_path, monkeypatch):
    source = tmp_path / "source"
    tiny_model(source)
    monkeypatch.setattr(shards, "SHARD_BYTES", 100_000)
    several = tmp_path / "several"
    several.mkdir()
    before = tensors(source)
    shards.write(several, {name: t.nbytes for name, t in before.items()}, before.get, "test", no_progress)
    (several / "config.json").write_text((source / "config.json").read_text())
    folder = converted(several, "float32")
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    after = tensors(folder)
    assert set(index["weight_map"]) == set(after)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in after.values())
    assert torch.equal(logits(folder), logits(source))


@pytest.mark.parametrize("value", [65_520.0, -1e6, float("nan")])
def test_a_value_that_the_precision_cannot_hold_is_refused(tmp_path, value):
    source = tmp_path / "source"
    tiny_model(source)
    altered = tensors(source)
    altered["model.layers.1.mlp.up_proj.weight"][3, 5] = value
    shards.write(source, {name: t.nbytes for name, t in altered.items()}, altered.get, "test", no_progress)
    with pytest.raises(WeightsError, match=r"model\.layers\.1\.mlp\.up_proj\.weight .* float16"):
        converted(source, "float16")


def test_the_largest_float16_is_kept(tmp_path):
    source = tmp_path / "source"
    tiny_model(source)
    altered = tensors(source)
    altered["model.norm.weight"][0] = 65_504.0
    shards.write(source, {name: t.nbytes for name, t in altered.items()}, altered.get, "test", no_progress)
    assert tensors(converted(source, "float16"))["model.norm.weight"][0] == 65_504.0


@pytest.fixture(scope="module")
def random_models_dir(tmp_path_factory) -> Path:
    models = tmp_path_factory.mktemp("models")
    weights.prepare(models, TINY, RANDOM, no_progress)
    return models


@pytest.fixture(scope="module")
def random_folder(random_models_dir) -> Path:
    return random_models_dir / "tiny" / "random-0"


def write_random(folder: Path, seed: int) -> dict[str, str]:
    folder.mkdir()
    random.write(TINY, seed, folder, no_progress)
    return digests(folder)


@pytest.fixture
def threads():
    """Sets the number of torch's threads, and sets it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_random_weights_depend_on_nothing_but_the_seed(tmp_path, monkeypatch, threads):
    alone, many, other = tmp_path / "alone", tmp_path / "many", tmp_path / "other"
    threads(1)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    first = write_random(alone, 7)
    threads(4)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert write_random(many, 7) == first
    assert write_random(other, 8) != first
    for name, tensor in tensors(alone).items():
        assert torch.equal(tensor, tensors(other)[name]) == (tensor.dim() == 1), name


def test_random_weights_have_the_models_shape(random_folder):
    model = AutoModelForCausalLM.from_pretrained(random_folder)
    assert {name: tuple(t.shape) for name, t in model.state_dict().items()} == TINY.tensor_shapes
    assert model.num_parameters() == TINY.parameters
    assert model.dtype == torch.float16
    config = model.config.to_dict()
    assert {key: config[key] for key in SHAPE if key != "rope_theta"} == {
        key: value for key, value in SHAPE.items() if key != "rope_theta"
    }
    assert config["rope_parameters"]["rope_theta"] == SHAPE["rope_theta"]


def test_random_weights_are_normal_with_the_initializers_range(random_folder):
    values = tensors(random_folder)[convert.EMBEDDING].float()
    assert values.std().item() == pytest.approx(SHAPE["initializer_range"], rel=0.01)
    assert abs(values.mean().item()) < 1e-4
    assert values.unique().numel() > 1000


def test_random_weights_of_two_tensors_differ(random_folder):
    stored = tensors(random_folder)
    gate, up = (stored[f"model.layers.0.mlp.{name}_proj.weight"] for name in ("gate", "up"))
    assert gate.shape == up.shape
    assert not torch.equal(gate, up)


def test_random_weights_come_with_a_tokenizer_of_their_size(random_folder):
    tokenizer = AutoTokenizer.from_pretrained(random_folder)
    assert len(tokenizer) == 32000
    text = "Write an essay about the transformer model architecture"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert len(ids) > 3
    assert tokenizer.decode(ids) == text


def test_what_random_weights_take_on_disk_was_planned(random_folder, tmp_path):
    (step,) = weights.plan(tmp_path, TINY, RANDOM)
    assert (step.download_bytes, step.damage) == (0, None)
    assert step.write_bytes == sum(t.nbytes for t in tensors(random_folder).values())


@pytest.mark.parametrize("ratio", [2, 3])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_what_a_conversion_takes_on_disk_was_planned(tmp_path, ratio, tied):
    shape = {**SHAPE, "hidden_size": 96, "num_attention_heads": ratio, "tie_word_embeddings": tied}
    spec = dataclasses.replace(TINY, shape=shape)
    steps = weights.plan(tmp_path, spec, RANDOM_MII)
    prepared = weights.prepare(tmp_path, spec, RANDOM_MII, no_progress)
    stored = tensors(prepared.folder)
    assert steps[-1].write_bytes == sum(t.nbytes for t in stored.values())
    assert {t.dtype for t in stored.values()} == {torch.bfloat16}
    assert prepared.digest == store.digest_of(tmp_path / "tiny" / "random-0")


def test_prepare_twice_does_nothing_the_second_time(random_models_dir):
    before = times(random_models_dir)
    calls = []
    prepared = weights.prepare(random_models_dir, TINY, RANDOM, lambda *call: calls.append(call))
    assert prepared.folder == random_models_dir / "tiny" / "random-0"
    assert prepared.facts == {"weights": "random", "seed": 0}
    assert (calls, times(random_models_dir)) == ([], before)


def test_random_weights_in_float16_serve_mii_as_they_are(random_models_dir):
    want = dataclasses.replace(RANDOM_MII, precision="float16")
    assert weights.final_folder(random_models_dir, TINY, want) == random_models_dir / "tiny" / "random-0"
    assert weights.plan(random_models_dir, TINY, want) == []


def test_an_interrupted_build_is_redone(tmp_path, random_folder):
    partial = tmp_path / "tiny" / ".partial-random-0"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(b"half")
    (partial / "rubbish.json").write_text("{")
    (partial / store.STAMP).write_text("{}")
    prepared = weights.prepare(tmp_path, TINY, RANDOM, no_progress)
    assert store.damage_of(prepared.folder) is None
    assert digests(prepared.folder) == digests(random_folder)
    assert not (prepared.folder / "rubbish.json").exists()
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir()) == [".lock", "random-0"]


def test_a_damaged_folder_is_made_again(tmp_path, random_folder):
    prepared = weights.prepare(tmp_path, TINY, RANDOM, no_progress)
    (prepared.folder / "model.safetensors").write_bytes(b"cut")
    (step,) = weights.plan(tmp_path, TINY, RANDOM)
    assert "it was cut or replaced" in step.damage
    again = weights.prepare(tmp_path, TINY, RANDOM, no_progress)
    assert again == prepared
    assert digests(again.folder) == digests(random_folder)


def test_another_base_makes_the_conversion_stale(tmp_path):
    """A conversion of weights that lie there no more would be measured under another model's digest."""
    first = weights.prepare(tmp_path, TINY, RANDOM_MII, no_progress)
    (tmp_path / "tiny" / "random-0" / store.STAMP).unlink()
    folders = [step.folder for step in weights.plan(tmp_path, TINY, RANDOM_MII)]
    assert folders == [tmp_path / "tiny" / "random-0", first.folder]


def family(kind: str) -> ModelSpec:
    """A small model of a family, as it is added by its config.json."""
    sizes = {"hidden_size": 96, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 6}
    config = CONFIGS[kind](**sizes, num_key_value_heads=2, vocab_size=128, tie_word_embeddings=True).to_dict()
    return ModelSpec(kind, kind, "none", {"kind": "folder", "path": "/none"}, from_config.shape_of(config))


@pytest.mark.parametrize("spec", [*map(catalog.load, catalog.pinned()), *map(family, CONFIGS)], ids=lambda s: s.name)
def test_the_manifest_has_the_shape_that_transformers_would_build(spec):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**spec.shape))
    assert {key: tuple(value.shape) for key, value in model.named_parameters()} == spec.tensor_shapes
    assert model.num_parameters() == spec.parameters


def test_smollm2_is_the_real_checkpoint_and_nothing_else(smollm2_models_dir):
    spec = catalog.load("smollm2")
    folder = smollm2_models_dir / "smollm2" / "pretrained"
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.offset_keys()}
    assert shapes == spec.tensor_shapes
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == spec.parameters == 134_515_008


def test_smollm2_ends_its_answers_with_the_token_it_was_trained_with(smollm2_models_dir):
    folder = smollm2_models_dir / "smollm2" / "pretrained"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 2)
    assert AutoConfig.from_pretrained(folder).eos_token_id == 2


def test_smollm2_for_mii_gives_the_same_logits(smollm2_models_dir, tmp_path):
    """The real model: three KV heads each repeated three times, and an output head of its own."""
    folder = tmp_path / "mii"
    folder.mkdir()
    source = smollm2_models_dir / "smollm2" / "pretrained"
    convert.write(source, "float32", folder, no_progress)
    assert AutoConfig.from_pretrained(folder).num_key_value_heads == 9
    torch.testing.assert_close(logits(folder), logits(source), rtol=0, atol=1e-3)


def test_weights_of_another_source_or_conversion_are_not_taken_for_these(tmp_path, smollm2_models_dir):
    spec = catalog.load("smollm2")
    want = weights.Want("pretrained", "transformers", "float32", 0)
    other = dataclasses.replace(spec, source={**spec.source, "sha256": "0" * 64})
    assert weights.plan(smollm2_models_dir, spec, want) == []
    (step,) = weights.plan(smollm2_models_dir, other, want)
    assert "other weights than the manifest names" in step.damage

    base, converted = tmp_path / "smollm2" / "pretrained", tmp_path / "smollm2" / "pretrained-mii-float16"
    for folder, facts in ((base, {"source": {}}), (converted, {"digest": "of other weights"})):
        store.partial_of(folder).mkdir(parents=True)
        (store.partial_of(folder) / "model.safetensors").write_bytes(b"any")
        store.publish(folder, facts, no_progress)
    (step,) = weights.plan(tmp_path, spec, weights.Want("pretrained", "mii", "float16", 0))
    assert "converted from other weights" in step.damage


def test_full_disk_while_safetensors_writes_is_no_fault_of_the_weights(tmp_path):
    with pytest.raises(MachineError, match="I/O error"), store.disk_errors(tmp_path):
        save_file({"any": torch.zeros(1)}, tmp_path / "no such folder" / "model.safetensors")
