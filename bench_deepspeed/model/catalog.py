"""The models: one JSON file each in `models/`, and in `models/own/` of those that the user added.

A new file there is a new `--model_name`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench_deepspeed.core.errors import BenchError, UsageError
from bench_deepspeed.core.json_files import parse_json, read_bytes
from bench_deepspeed.core.paths import MODELS

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
FIELDS: dict[str, type] = {"title": str, "licence": str, "source": dict, "shape": dict}
SOURCES: dict[str, dict[str, type]] = {
    "hub": {"repo": str, "revision": str, "licence_url": str},
    "folder": {"path": str},
    "gguf": {"path": str, "bytes": int, "sha256": str},
    "package": {"package": str, "version": str, "file": str, "bytes": int, "sha256": str, "eos_token": str},
}
"""Kind of a source → what its object holds."""
SHAPE: dict[str, type] = {
    **dict.fromkeys(("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"), int),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"), int),
    "tie_word_embeddings": bool,
    "initializer_range": float,
}
IN_WORDS: dict[type, str] = {
    str: "a text",
    int: "a whole number above 0, at most 1e15",
    float: "a number",
    bool: "true or false",
    dict: "an object",
}
QWEN2 = "qwen2"
"""The model type of Qwen2 and Qwen2.5: Llama's tensors, and biases of queries, keys and values."""
LARGEST = 10**15
"""Products of larger ones are no number that a computer takes for a size."""
MOST_LAYERS = 10_000


@dataclass(frozen=True)
class ModelSpec:
    """One manifest.

    `source` says where the pretrained weights come from: `kind` is "hub" (`repo`, `revision`,
    `licence_url`), "package" (`package`, `version`, `file`, `bytes`, `sha256`, `eos_token`), "folder" (`path`) or
    "gguf" (`path`, `bytes`, `sha256`).
    `shape` is the model's configuration in the words of Transformers; sizes are derived from it.
    """

    name: str
    title: str
    licence: str
    source: dict[str, Any]
    shape: dict[str, Any]
    note: str = ""

    @cached_property
    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor of the model, by its name in a Llama, Mistral or Qwen2 checkpoint."""
        s = self.shape
        hidden, inner = s["hidden_size"], s["intermediate_size"]
        query = s["num_attention_heads"] * s["head_dim"]
        kv = s["num_key_value_heads"] * s["head_dim"]
        shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (s["vocab_size"], hidden)}
        for layer in range(s["num_hidden_layers"]):
            p = f"model.layers.{layer}"
            shapes |= {
                f"{p}.self_attn.q_proj.weight": (query, hidden),
                f"{p}.self_attn.k_proj.weight": (kv, hidden),
                f"{p}.self_attn.v_proj.weight": (kv, hidden),
                f"{p}.self_attn.o_proj.weight": (hidden, query),
                f"{p}.mlp.gate_proj.weight": (inner, hidden),
                f"{p}.mlp.up_proj.weight": (inner, hidden),
                f"{p}.mlp.down_proj.weight": (hidden, inner),
                f"{p}.input_layernorm.weight": (hidden,),
                f"{p}.post_attention_layernorm.weight": (hidden,),
            }
            if s.get("model_type") == QWEN2:
                widths = {"q": query, "k": kv, "v": kv}
                shapes |= {f"{p}.self_attn.{part}_proj.bias": (width,) for part, width in widths.items()}
        shapes["model.norm.weight"] = (hidden,)
        if not s["tie_word_embeddings"]:
            shapes[HEAD] = (s["vocab_size"], hidden)
        return shapes

    @cached_property
    def parameters(self) -> int:
        """Number of parameters, a tied output head counted once."""
        return sum(math.prod(shape) for shape in self.tensor_shapes.values())


OWN = "own"
"""The folder of the user's manifests in that of the suite's; no model has this name, since its weights go there."""


def pinned() -> list[str]:
    """The names of the suite's own models."""
    return sorted(path.stem for path in MODELS.glob("*.json"))


def names() -> list[str]:
    """The names that `--model_name` takes."""
    return sorted({*pinned(), *(path.stem for path in (MODELS / OWN).glob("*.json"))})


def own_file(name: str) -> Path:
    """Where the manifest of a model of the user's is."""
    return MODELS / OWN / f"{name}.json"


def shown_file(name: str) -> str:
    """Where a model's manifest is, for a message."""
    return f"models/{file_of(name).relative_to(MODELS).as_posix()}"


def file_of(name: str) -> Path:
    """The manifest of one of `names`."""
    return MODELS / f"{name}.json" if name in pinned() else own_file(name)


def load(name: str) -> ModelSpec:
    """Read the manifest of one model. Raises UsageError when it is not one.

    The name may come from a result file, so it must be one of `names`.
    """
    if name not in names():
        raise UsageError(f"{name!a:.80} is not a model of this suite: it has {', '.join(names())}")
    path = file_of(name)
    try:
        return checked(name, parse_json(read_bytes(path), path))
    except BenchError as error:
        raise UsageError(f"{shown_file(name)} is not a model's manifest: {error}") from error


def checked(name: str, manifest: Any) -> ModelSpec:
    """A manifest as a model. Raises UsageError that names the field that is wrong."""
    try:
        _check(manifest)
        return ModelSpec(name=name, **manifest)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error


def _check(manifest: Any) -> None:
    """Raises ValueError, with the field, for a manifest that lacks what is read of it or has it of another type."""
    _require(manifest, "", FIELDS)
    _require(manifest["source"], "source.", {"kind": str})
    if manifest["source"]["kind"] not in SOURCES:
        raise ValueError(f"source.kind must be one of {', '.join(SOURCES)}")
    _require(manifest["source"], "source.", SOURCES[manifest["source"]["kind"]])
    shape = manifest["shape"]
    _require(shape, "shape.", SHAPE)
    if shape["num_hidden_layers"] > MOST_LAYERS:
        raise ValueError(f"shape.num_hidden_layers must be {MOST_LAYERS} or less")
    if shape["num_attention_heads"] % shape["num_key_value_heads"]:
        raise ValueError("shape.num_attention_heads must be a multiple of shape.num_key_value_heads")


def _require(values: Any, where: str, kinds: dict[str, type]) -> None:
    """Raises ValueError where a field of an object is missing or of another type; whole numbers are above zero."""
    if not isinstance(values, dict):
        raise ValueError(f"{where.rstrip('.') or 'it'} must be an object")
    for name, kind in kinds.items():
        value = values.get(name)
        if type(value) is not kind or (isinstance(value, int) and kind is int and not 1 <= value <= LARGEST):
            raise ValueError(f"{where}{name} must be {IN_WORDS[kind]}")
