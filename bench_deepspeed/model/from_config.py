"""A manifest from the `config.json` of a model that the suite has none of. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench_deepspeed.core.errors import UsageError

from .catalog import QWEN2

FAMILIES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", QWEN2: "Qwen2ForCausalLM"}
"""Model type → the class whose tensors `ModelSpec.tensor_shapes` lists."""
REQUIRED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
MUST_BE: dict[str, Any] = {
    "hidden_act": "silu",
    "attention_bias": False,  # Qwen2's biases are of its architecture, and no setting
    "mlp_bias": False,
    "use_sliding_window": False,
}
"""Setting → its only value in models that are measured here; also what Transformers takes where it is missing."""
NOT_OF_THE_SHAPE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache")


def shape_of(config: object) -> dict[str, Any]:
    """The shape of a manifest. Raises UsageError that says why a model of this configuration is not measured here."""
    if not isinstance(config, dict):
        raise UsageError("config.json must hold an object")
    model_type = config.get("model_type")
    if model_type not in FAMILIES:
        raise UsageError(f"its model_type is {model_type!a:.40}; the suite measures {', '.join(FAMILIES)}")
    if reason := next(_refusals(config), None):
        raise UsageError(reason)
    heads = config["num_attention_heads"]
    derived = {
        "architectures": [FAMILIES[model_type]],
        "num_key_value_heads": config.get("num_key_value_heads") or heads,
        "head_dim": config.get("head_dim") or config["hidden_size"] // heads,
    }
    defaults = {"max_position_embeddings": 2048, "tie_word_embeddings": False, "initializer_range": 0.02}
    own = {name: value for name, value in config.items() if name not in NOT_OF_THE_SHAPE}
    if model_type == QWEN2:  # it names a window that it does not use
        own["sliding_window"] = None
    return {**defaults, **own, **derived}


def _refusals(config: Mapping[str, Any]) -> Iterator[str]:
    """What of a configuration the suite does not measure, in words; each holds where none before it does."""
    for name in REQUIRED + (("num_key_value_heads",) if config["model_type"] == "mistral" else ()):
        value = config.get(name)
        if type(value) is not int or value < 1:
            yield f"its config.json has no {name} that is a whole number above 0"
    if "auto_map" in config:
        yield "it brings code of its own (auto_map), which the suite does not run"
    if config.get("quantization_config"):
        yield "its weights are quantized: name a folder with values of 16 or 32 bits"
    for name in ("rope_scaling", "rope_parameters"):
        if not isinstance(config.get(name) or {}, dict):
            yield f"its {name} is {config[name]!a:.40}, and not an object"
    for name, only in MUST_BE.items():
        if (value := config.get(name, only)) != only:
            yield f"its {name} is {value!a:.40}; the suite measures models with {only!a}"
    if not config.get("head_dim") and config["hidden_size"] % config["num_attention_heads"]:
        yield "its hidden_size is no multiple of num_attention_heads, and it names no head_dim"
