"""Weights of a folder of the user's: copied whole, again where they changed, and never named in a result."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from support import no_progress, save_tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from bench_deepspeed import weights
from bench_deepspeed.core.errors import WeightsError
from bench_deepspeed.model import catalog, from_config

AS_IT_IS = weights.Want("pretrained", "transformers", "float32", 0)
FOR_MII = weights.Want("pretrained", "mii", "float16", 0)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A small Llama whose KV heads MII's kernels take only repeated."""
    folder = tmp_path_factory.mktemp("original")
    sizes = {"hidden_size": 384, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 6}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=256, num_key_value_heads=2, **sizes)).half().save_pretrained(folder)
    save_tokenizer(folder)
    (folder / "pytorch_model.bin").write_bytes(b"not to be read")
    return folder


@pytest.fixture
def models(tmp_path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def folder(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "mine"))


@pytest.fixture
def spec(folder) -> catalog.ModelSpec:
    shape = from_config.shape_of(json.loads((folder / "config.json").read_text()))
    source = {"kind": "folder", "path": str(folder)}
    return catalog.checked("mine", {"title": "Mine", "licence": "its own", "source": source, "shape": shape})


def actions(models: Path, spec: catalog.ModelSpec, want: weights.Want = AS_IT_IS) -> list[str]:
    return [step.action for step in weights.plan(models, spec, want)]


def test_it_is_copied_once_without_what_is_no_model(models, folder, spec):
    (step,) = weights.plan(models, spec, AS_IT_IS)
    assert (step.action, step.download_bytes) == ("copy the folder of mine", 0)
    ready = weights.prepare(models, spec, AS_IT_IS, no_progress)
    assert step.write_bytes == sum(
        (ready.folder / path.name).stat().st_size for path in folder.iterdir() if path.suffix != ".bin"
    )
    assert str(folder) not in json.dumps(ready.facts)  # results are published
    assert actions(models, spec) == []
    shutil.rmtree(folder)
    assert actions(models, spec) == []  # the copy is whole


def test_weights_that_changed_are_copied_again(models, folder, spec):
    before = weights.prepare(models, spec, AS_IT_IS, no_progress)
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.nn.init.ones_(model.lm_head.weight)
    model.save_pretrained(folder)
    later_s = (folder / "config.json").stat().st_mtime + 60
    os.utime(folder / "model.safetensors", (later_s, later_s))
    (step,) = weights.plan(models, spec, AS_IT_IS)
    assert step.damage == f"{folder} has changed since it was copied"
    after = weights.prepare(models, spec, AS_IT_IS, no_progress)
    assert after.digest != before.digest
    assert actions(models, spec) == []


def test_mii_gets_the_same_values(models, folder, spec):
    assert actions(models, spec, FOR_MII) == ["copy the folder of mine", "convert to float16 for MII"]
    ready = weights.prepare(models, spec, FOR_MII, no_progress)
    tokens = torch.tensor([[1, 2, 3]])
    own, converted = (
        AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32) for place in (folder, ready.folder)
    )
    assert converted.config.num_key_value_heads == 6
    torch.testing.assert_close(converted(tokens).logits, own(tokens).logits)


def test_random_weights_have_its_tokenizer(models, folder, spec):
    ready = weights.prepare(models, spec, weights.Want("random", "transformers", "float16", 0), no_progress)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (ready.folder / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shutil.rmtree, "cannot read .*, the folder of mine: No such file or directory"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.*: pickled weights are not read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), "cannot be loaded"),
    ],
)
def test_a_folder_that_holds_no_model_is_one_line_and_nothing_is_published(models, folder, spec, change, words):
    change(folder)
    with pytest.raises(WeightsError, match=words):
        weights.prepare(models, spec, AS_IT_IS, no_progress)
    assert not (models / "mine" / "pretrained").exists()


def test_another_shape_than_the_manifest_names_is_refused(models, spec):
    other = dataclasses.replace(spec, shape={**spec.shape, "num_hidden_layers": 3})
    with pytest.raises(WeightsError, match=r"config\.json has changed since mine was added"):
        weights.prepare(models, other, AS_IT_IS, no_progress)
