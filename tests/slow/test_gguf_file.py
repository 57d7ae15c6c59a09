"""A GGUF file of the user's: added as a model, expanded to its values, and pinned to what it was."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file
from support import InProcess, error_of, no_progress
from transformers import AutoTokenizer

from bench_deepspeed import weights
from bench_deepspeed.cli import models_command
from bench_deepspeed.core.errors import WeightsError
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import package

LAYER = {"attn_q": (64, 64), "attn_k": (32, 64), "attn_v": (32, 64), "attn_output": (64, 64)}
LAYER |= {"ffn_gate": (96, 64), "ffn_up": (96, 64), "ffn_down": (64, 96)}
SIZES = {"block_count": 1, "embedding_length": 64, "feed_forward_length": 96, "rope.dimension_count": 32}
SIZES |= {"attention.head_count": 2, "attention.head_count_kv": 1, "vocab_size": 400}
TOKENS, BYTES_AND_SPECIAL = SIZES["vocab_size"], 252


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """SmolLM2's file with the first tokens of its tokenizer, and one small layer of random values."""
    reader = gguf.GGUFReader(package.locate(catalog.load("smollm2").source))
    file = tmp_path_factory.mktemp("gguf") / "Tiny.gguf"
    writer, draw = gguf.GGUFWriter(file, "llama"), np.random.default_rng(0)
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kind, *inner = field.types
            value = SIZES.get(name.removeprefix("llama."), field.contents())
            if inner:  # tokens, their types, and the merges that made the last of them
                value = value[: TOKENS - BYTES_AND_SPECIAL if "merges" in name else TOKENS]
            writer.add_key_value(name, value, kind, sub_type=inner[0] if inner else None)
    tensors = {f"blk.0.{name}": shape for name, shape in LAYER.items()}
    tensors |= {"token_embd": (TOKENS, 64), "output_norm": (64,), "blk.0.attn_norm": (64,), "blk.0.ffn_norm": (64,)}
    for name, shape in tensors.items():
        writer.add_tensor(f"{name}.weight", draw.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.fixture
def added(original, tmp_path, monkeypatch):
    """The file as a model, whose manifest is not the checkout's."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    for module in (catalog, models_command):
        monkeypatch.setattr(module, "MODELS", manifests)
    file = tmp_path / "Tiny.gguf"
    file.write_bytes(original.read_bytes())
    done = InProcess(tmp_path)("models", "add", file)
    assert done.returncode == 0, done
    return catalog.load("tiny"), file


def prepared(spec: catalog.ModelSpec, folder: Path, kind: str = "pretrained") -> weights.Ready:
    return weights.prepare(folder, spec, weights.Want(kind, "transformers", "float32", 0), no_progress)


def test_it_is_expanded_to_its_values_with_its_tokenizer(added, tmp_path):
    spec, file = added
    (step,) = weights.plan(tmp_path / "models", spec, weights.Want("pretrained", "transformers", "float32", 0))
    assert step.action == "expand the GGUF file of tiny to float32"
    ready = prepared(spec, tmp_path / "models")
    stored = {tensor.name: tensor.data for tensor in gguf.GGUFReader(file).tensors}
    values = load_file(ready.folder / "model.safetensors")
    for own, theirs in (("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"), ("self_attn.v_proj", "attn_v")):
        np.testing.assert_array_equal(values[f"model.layers.0.{own}.weight"], stored[f"blk.0.{theirs}.weight"])
    assert AutoTokenizer.from_pretrained(ready.folder)("Hello").input_ids
    assert str(file) not in json.dumps(ready.facts)  # results are published
    assert ready.facts["source"]["sha256"] == spec.source["sha256"]


def test_a_file_that_changed_is_refused(added, tmp_path):
    spec, file = added
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    remedy = r"its SHA-256 differs\): remove models/own/tiny\.json, and add the file again"
    with pytest.raises(WeightsError, match=remedy):
        prepared(spec, tmp_path / "models")
    file.unlink()
    with pytest.raises(WeightsError, match="is missing: remove models/own/tiny"):
        prepared(spec, tmp_path / "models", "random")
    assert not list((tmp_path / "models").rglob("*.safetensors"))


def test_a_package_whose_file_has_other_tensors_is_refused(original, tmp_path, monkeypatch):
    file = tmp_path / "model.gguf"
    file.write_bytes(original.read_bytes().replace(b"blk.0.attn_q.weight", b"blk.0.attn_?.weight"))
    monkeypatch.setattr(package, "locate", lambda _source: file)
    with pytest.raises(WeightsError, match=r"1 missing: model\.layers\.0\.self_attn\.q_proj\.weight"):
        package.write(catalog.load("smollm2"), tmp_path / "expanded", no_progress)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no such thing"])
def test_what_is_no_gguf_file_is_one_line(tmp_path, content):
    (tmp_path / "x.gguf").write_bytes(content)
    done = InProcess(tmp_path)("models", "add", "x.gguf")
    assert done.returncode == 2, done
    assert "x.gguf is not read as a GGUF file" in error_of(done.stderr)
