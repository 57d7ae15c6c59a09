"""Figures derived from a result's raw measurements and from the model's shape: utilization, latency, energy.

Bytes and FLOPs are those that the model's arithmetic demands, the same for every engine: one that reads or
computes more than it must comes out lower. `None` means that what a figure needs was not measured.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from .catalog import EMBEDDING, HEAD, ModelSpec
from .schema import Energy, Latency, Result

VALUE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
DECODE_SHARE = 0.5
"""Where decoding is less than this share of a generation, what is left of its time without TTFT is the
difference of two nearly equal times, and mostly noise."""


@dataclass(frozen=True)
class Rate:
    """Decode steps a second, and where they come from: "TPOT, streamed", "TPOT, difference" or "end to end"."""

    steps_per_s: float
    source: str


@dataclass(frozen=True)
class Utilization:
    """`value` = `achieved` ∕ `limit`, both in bytes/s (MBU) or FLOP/s (MFU); `source` names the time it is from."""

    value: float
    achieved: float
    limit: float
    source: str


def decode_bytes(spec: ModelSpec, precision: str, context_tokens: float) -> float:
    """Bytes that one decode step of one sequence must read: all weights, and the keys and values of its context.

        values × (parameters − embedding + 2 × layers × KV heads × head size × context)

    The embedding table is left out, since a step reads one row of it, unless it is the output head too. With
    a sliding window the context ends there. After Databricks, "LLM Inference Performance Engineering: Best
    Practices" (2023), where a step moves the parameters and the KV cache; gpt-fast (PyTorch, 2023) leaves
    the embedding out in the same way.
    """
    embedding = 0 if spec.shape["tie_word_embeddings"] else math.prod(spec.tensor_shapes[EMBEDDING])
    return VALUE_BYTES[precision] * (spec.parameters - embedding) + kv_bytes(spec, precision, context_tokens)


def kv_bytes(spec: ModelSpec, precision: str, tokens: float) -> float:
    """Bytes of the keys and values of one sequence of so many tokens, as far back as a sliding window lets it look."""
    s = spec.shape
    values = 2 * s["num_hidden_layers"] * s["num_key_value_heads"] * s["head_dim"]
    return VALUE_BYTES[precision] * values * min(tokens, window(spec))


def mean_context(spec: ModelSpec, prompt_tokens: int, new_tokens: int) -> float:
    """Tokens in the KV cache that a decode step reads, mean over the new_tokens − 1 steps.

    Prefill makes the first new token. Step k of those that follow reads the prompt and k − 1 new tokens, as
    far as a sliding window lets it. Without any step, the prompt's tokens.
    """
    last = prompt_tokens + max(new_tokens - 1, 1)
    return statistics.fmean(min(context, window(spec)) for context in range(prompt_tokens, last))


def window(spec: ModelSpec) -> float:
    """Tokens that attention looks back at most; infinite without a sliding window."""
    return spec.shape.get("sliding_window") or math.inf


def matmul_weights(spec: ModelSpec) -> int:
    """Weights in matrix products with every token: all matrices but the embedding table and the output head."""
    matrices = {name: shape for name, shape in spec.tensor_shapes.items() if len(shape) == 2}
    return sum(math.prod(shape) for name, shape in matrices.items() if name not in (EMBEDDING, HEAD))


def head_weights(spec: ModelSpec) -> int:
    """Weights of the output head, tied or not."""
    return spec.shape["vocab_size"] * spec.shape["hidden_size"]


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
    attention = 2 * 2 * s["num_hidden_layers"] * query_width * pairs
    return 2.0 * matmul_weights(spec) * tokens + 2.0 * head_weights(spec) + attention


def tpot_s(latency: Latency, new_tokens: int) -> list[float]:
    """Time per output token of each generation: (end to end − TTFT) ∕ (new tokens − 1). Empty for one token.

    By "difference" the two come from different generations, so the mean TTFT is taken off each.
    """
    if new_tokens < 2 or not latency.ttft_s:
        return []
    first = latency.ttft_s if latency.method == "streamed" else [ttft_s(latency)] * len(latency.e2e_s)
    return [(e2e - ttft) / (new_tokens - 1) for e2e, ttft in zip(latency.e2e_s, first, strict=True)]


def mean_tpot_s(latency: Latency, new_tokens: int) -> float | None:
    """Mean of `tpot_s`; None where it is not above zero: the difference is then the clock's noise."""
    times = tpot_s(latency, new_tokens)
    mean = statistics.fmean(times) if times else 0.0
    return mean if mean > 0 else None


def ttft_s(latency: Latency) -> float | None:
    """Mean time to the first token."""
    return statistics.fmean(latency.ttft_s) if latency.ttft_s else None


def itl_s(latency: Latency) -> dict[int, float] | None:
    """Inter-token latency: its 50th, 90th and 99th percentiles over all gaps of all generations.

    With linear interpolation, as NumPy does by default. None where tokens were not watched one by one.
    """
    gaps = [gap for generation in latency.itl_s for gap in generation]
    if not gaps:
        return None
    cuts = statistics.quantiles(gaps if len(gaps) > 1 else gaps * 2, n=100, method="inclusive")
    return {percent: cuts[percent - 1] for percent in (50, 90, 99)}


def decode_rate(result: Result) -> Rate | None:
    """Decode steps a second: 1 ∕ mean TPOT, or new tokens ∕ seconds of the repetitions where that is more.

    The latter is a lower bound, since the time holds the prefill and the tokenizer too; but streaming may cost
    more than these. TPOT is left out where decoding was less than half of the generation (`DECODE_SHARE`).
    """
    new_tokens, latency, samples = result.scenario.max_tokens, result.latency, result.valid_samples
    rates = []
    times = tpot_s(latency, new_tokens) if latency else []
    if times and sum(times) * (new_tokens - 1) >= DECODE_SHARE * sum(latency.e2e_s):
        rates.append(Rate(1 / statistics.fmean(times), f"TPOT, {latency.method}"))
    if samples:
        seconds = statistics.fmean(sample.seconds / sample.new_tokens for sample in samples)
        rates.append(Rate(1 / seconds, "end to end"))
    return max(rates, key=lambda rate: rate.steps_per_s, default=None)


def step_bytes(result: Result, spec: ModelSpec) -> float:
    """`decode_bytes` at the mean context of the result's valid repetitions. There must be one."""
    sample = result.valid_samples[0]
    context = mean_context(spec, sample.prompt_tokens, sample.new_tokens)
    return decode_bytes(spec, result.scenario.precision, context)


def mbu(result: Result, spec: ModelSpec) -> Utilization | None:
    """Model bandwidth utilization: bytes that decoding must read a second ∕ the device's bandwidth.

    Databricks (2023), with the bandwidth that was measured (`Limits.bytes_per_s`) instead of the data
    sheet's. From `decode_rate`; by its source "end to end" it is a lower bound. A model that the caches
    hold can go beyond 1.
    """
    rate = decode_rate(result)
    if rate is None or result.limits is None or not result.valid_samples:
        return None
    achieved, limit = rate.steps_per_s * step_bytes(result, spec), result.limits.bytes_per_s
    return Utilization(achieved / limit, achieved, limit, rate.source)


def mfu(result: Result, spec: ModelSpec) -> Utilization | None:
    """Model FLOPs utilization of prefill: FLOP/s that it must compute ∕ those of the measured matrix product.

    Chowdhery et al. (2022), with the measured product instead of the data sheet's. From the mean time, as
    every speed here: the fastest would compare the luckiest of few with the typical of others. The time
    holds the tokenizer too, so it is a lower bound.
    """
    if result.prefill is None or result.limits is None or not result.prefill.seconds:
        return None
    seconds = statistics.fmean(result.prefill.seconds)
    achieved, limit = prefill_flops(spec, result.prefill.prompt_tokens) / seconds, result.limits.matmul_flops_per_s
    return Utilization(achieved / limit, achieved, limit, "mean prefill")


def joules_per_token(energy: Energy) -> float | None:
    """Energy of the whole generation, prefill included, over its new tokens."""
    return energy.joules / energy.new_tokens if energy.new_tokens else None


def mean_power_w(energy: Energy) -> float | None:
    """Joules over seconds."""
    return energy.joules / energy.seconds if energy.seconds else None
