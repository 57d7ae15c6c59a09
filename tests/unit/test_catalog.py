"""Manifests of models: what is read of one is there and of its type, else one line names the field."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.paths import MODELS
from bench_deepspeed.model import catalog

DELETE = object()
WRONG = {
    "title": ([1], "title must be a text"),
    "source": (3, "source must be an object"),
    "source.kind": ([], "source.kind must be a text"),
    "source.repo": (DELETE, "source.repo must be a text"),
    "shape": (DELETE, "shape must be an object"),
    "shape.hidden_size": (DELETE, "shape.hidden_size must be a whole number above 0"),
    "shape.head_dim": ("x", "shape.head_dim must be a whole number above 0"),
    "shape.vocab_size": (0, "shape.vocab_size must be a whole number above 0"),
    "shape.intermediate_size": (1e400, "shape.intermediate_size must be a whole number above 0"),
    "shape.num_attention_heads": (10**400, "shape.num_attention_heads must be a whole number above 0, at most 1e15"),
    "shape.num_hidden_layers": (10**9, "shape.num_hidden_layers must be 10000 or less"),
    "shape.num_key_value_heads": (5, "must be a multiple of shape.num_key_value_heads"),
    "shape.tie_word_embeddings": (0, "shape.tie_word_embeddings must be true or false"),
    "author": ("A", "unexpected keyword argument 'author'"),
}


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """The manifest of llama in a folder of models of its own."""
    monkeypatch.setattr(catalog, "MODELS", tmp_path)
    return Path(shutil.copy(MODELS / "llama.json", tmp_path))


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_field_is_named(manifest, field):
    value, words = WRONG[field]
    data = json.loads(manifest.read_text())
    *above, name = field.split(".")
    holder = data[above[0]] if above else data
    if value is DELETE:
        del holder[name]
    else:
        holder[name] = value
    manifest.write_text(json.dumps(data))
    with pytest.raises(UsageError, match=r"^models/llama\.json is not a model's manifest: ") as refused:
        catalog.load("llama")
    assert words in str(refused.value)


@pytest.mark.parametrize("text", ["[]", '"x"', "{", "[" * 100_000], ids=lambda text: text[:3])
def test_what_is_no_object_is_no_manifest(manifest, text):
    manifest.write_text(text)
    with pytest.raises(UsageError, match=r"^models/llama\.json is not a model's manifest: "):
        catalog.load("llama")


@pytest.mark.parametrize("name", catalog.pinned())
def test_the_suites_own_manifests_hold_what_is_read(name):
    assert catalog.load(name).parameters > 0
