"""Bytes and FLOPs that follow from a model's shape, the same for every engine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from bench_deepspeed.core.capabilities import Packing
from bench_deepspeed.core.precision import PRECISIONS

from .catalog import EMBEDDING, HEAD, ModelSpec


def decode_bytes(spec: ModelSpec, precision: str, context_tokens: float, packing: Packing | None = None) -> float:
    """Bytes that one decode step of one sequence must read: all weights, and the keys and values of its context.

        values × (parameters − embedding + 2 × layers × KV heads × head size × context)

    The embedding table is left out, since a step reads one row of it, unless it is the output head too. With
    a sliding window the context ends there. After Databricks, "LLM Inference Performance Engineering: Best
    Practices" (2023), where a step moves the parameters and the KV cache; gpt-fast (PyTorch, 2023) leaves
    the embedding out in the same way. `precision` is that of the products; with a `packing` the layers' matrices take
    what they are packed in, see `weight_bytes`.
    """
    embedding = 0 if spec.shape["tie_word_embeddings"] else math.prod(spec.tensor_shapes[EMBEDDING])
    unread = PRECISIONS[precision].value_bytes * embedding
    return weight_bytes(spec, precision, packing) - unread + kv_bytes(spec, precision, context_tokens)


def weight_bytes(spec: ModelSpec, precision: str, packing: Packing | None = None) -> int:
    """Bytes of all weights: the layers' matrices packed, where there is a packing, all else in `precision`."""
    value_bytes = PRECISIONS[precision].value_bytes
    if packing is None:
        return value_bytes * spec.parameters
    packed = sum(map(packing.size_bytes, layer_matrices(spec).values()))
    return packed + value_bytes * (spec.parameters - matmul_weights(spec))


def layer_matrices(spec: ModelSpec) -> dict[str, tuple[int, int]]:
    """Name → (outputs, inputs) of all matrices but the embedding table and the output head."""
    return {
        name: (shape[0], shape[1])
        for name, shape in spec.tensor_shapes.items()
        if len(shape) == 2 and name not in (EMBEDDING, HEAD)
    }


def kv_bytes(spec: ModelSpec, precision: str, tokens: float) -> float:
    """Bytes of the keys and values of one sequence of so many tokens, as far back as a sliding window lets it look."""
    s = spec.shape
    values: int = 2 * s["num_hidden_layers"] * s["num_key_value_heads"] * s["head_dim"]
    return PRECISIONS[precision].value_bytes * values * min(tokens, window(spec))


def mean_context(spec: ModelSpec, prompt_tokens: int, new_tokens: int) -> float:
    """Tokens in the KV cache that a decode step reads, mean over the new_tokens − 1 steps.

    Prefill makes the first new token. Step k of those that follow reads the prompt and k − 1 new tokens, as
    far as a sliding window lets it. Without any step, the prompt's tokens.
    """
    last = prompt_tokens + max(new_tokens - 1, 1)
    return statistics.fmean(min(context, window(spec)) for context in range(prompt_tokens, last))


def window(spec: ModelSpec) -> float:
    """Tokens that attention looks back at most; infinite without a sliding window."""
    tokens: float = spec.shape.get("sliding_window") or math.inf
    return tokens


def matmul_weights(spec: ModelSpec) -> int:
    """Weights in matrix products with every token: all matrices but the embedding table and the output head."""
    return sum(map(math.prod, layer_matrices(spec).values()))


def head_weights(spec: ModelSpec) -> int:
    """Weights of the output head, tied or not."""
    return int(spec.shape["vocab_size"] * spec.shape["hidden_size"])


def decode_flops(spec: ModelSpec) -> float:
    """FLOPs that one token of one sequence takes at least: 2 × the weights in matrix products, the head's included.

    J. Kaplan et al., "Scaling Laws for Neural Language Models" (2020), section 2.1; attention comes on top.
    """
    return 2.0 * (matmul_weights(spec) + head_weights(spec))


def prefill_flops(spec: ModelSpec, tokens: int) -> float:
    """FLOPs that a prompt of so many tokens takes.

        2 × weights × tokens + 2 × head + 2 × 2 × layers × query width × pairs

    The head is needed at the last position only. `pairs` of a query with a key that it may see: tokens² ∕ 2
    for causal attention, less what lies beyond a sliding window. Kaplan et al. (2020) for the first term;
    A. Chowdhery et al., "PaLM" (2022), appendix B, for attention, of which causal masking leaves half.
    """
    s = spec.shape
    seen = min(tokens, window(spec))
    pairs = tokens * seen - seen**2 / 2
    query_width = s["num_attention_heads"] * s["head_dim"]
    attention: float = 2 * 2 * s["num_hidden_layers"] * query_width * pairs
    return 2.0 * matmul_weights(spec) * tokens + 2.0 * head_weights(spec) + attention


# The ratios that DeepSpeed 0.19.8's blocked attention was instantiated for.
KERNEL_RATIOS = {1, 2, 4, 5, 6, 7, 8, 16, 29, 35, 36, 71}


HEAD_SIZES = {64, 80, 96, 128}
"""Those that its kernels were instantiated for."""


def kernel_refusal(shape: Mapping[str, Any]) -> str | None:
    """What of a shape MII's kernels do not run, in words; None for one that they do."""
    if shape["head_dim"] not in HEAD_SIZES:
        sizes = ", ".join(map(str, sorted(HEAD_SIZES)))
        return f"its heads have {shape['head_dim']} values, and the kernels are for {sizes}"
    rope = shape.get("rope_scaling") or shape.get("rope_parameters") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    return None if kind == "default" else f"its rotary embedding is scaled ({kind!a:.40}), which MII does not compute"


def kv_repeats(query_heads: int, kv_heads: int) -> int:
    """How often each KV head must be repeated so that the kernels know the ratio; 1: not at all."""
    ratio = query_heads // kv_heads
    return next(n for n in range(1, ratio + 1) if ratio % n == 0 and ratio // n in KERNEL_RATIOS)
