"""The models: one JSON file each in `models/`. A new file there is a new `--model_name`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.paths import MODELS

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True)
class ModelSpec:
    """One manifest.

    `source` says where the pretrained weights come from: `kind` is "hub" (`repo`, `revision`,
    `licence_url`) or "package" (`package`, `version`, `file`, `bytes`, `sha256`, `eos_token`).
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
        """Every tensor of the model, by its name in a Llama or Mistral checkpoint."""
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
        shapes["model.norm.weight"] = (hidden,)
        if not s["tie_word_embeddings"]:
            shapes[HEAD] = (s["vocab_size"], hidden)
        return shapes

    @cached_property
    def parameters(self) -> int:
        """Number of parameters, a tied output head counted once."""
        return sum(math.prod(shape) for shape in self.tensor_shapes.values())


def names() -> list[str]:
    """The names that `--model_name` takes."""
    return sorted(path.stem for path in MODELS.glob("*.json"))


def load(name: str) -> ModelSpec:
    """Read the manifest of one model. Raises UsageError when it is not one.

    The name may come from a result file, so it must be one of `names`.
    """
    if name not in names():
        raise UsageError(f"{name!a:.80} is not a model of this suite: it has {', '.join(names())}")
    path = MODELS / f"{name}.json"
    try:
        return ModelSpec(name=name, **json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"models/{name}.json is not a model's manifest: {error}") from error
