"""Weights in few bits by torchao, through Transformers: the baseline of these precisions.

Of torchao's schemes the weight-only ones: activations, and so the products, stay in a precision of arithmetic.
"""

from __future__ import annotations

from typing import Any

from bench_deepspeed.core.capabilities import Packing


def settings(precision: str, packing: Packing) -> dict[str, Any]:
    """What `from_pretrained` takes to pack the layers' matrices while it loads them."""
    from torchao import quantization
    from transformers import TorchAoConfig

    def int4():
        from torchao.quantization.quantize_.workflows import Int4PackingFormat

        tiles = Int4PackingFormat.TILE_PACKED_TO_4D
        return quantization.Int4WeightOnlyConfig(group_size=packing.group, int4_packing_format=tiles)

    configs = {"int8": quantization.Int8WeightOnlyConfig, "fp8": quantization.Float8WeightOnlyConfig, "int4": int4}
    return {"quantization_config": TorchAoConfig(configs[precision]())}
