"""DeepSpeed around a Transformers model, where MII cannot run: `init_inference`, or its group-wise weights."""

from __future__ import annotations

import gc
import os
from dataclasses import replace

from bench_deepspeed.core.capabilities import Packing
from bench_deepspeed.core.ports import free_port
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.measure.records import EngineDescription

from .base import Load
from .transformers import TransformersEngine


class DeepSpeedEngine(TransformersEngine):
    name = "deepspeed"

    def load(self, load: Load, progress: Progress) -> None:
        # DeepSpeed's process group of one listens on this port; the default, 29500, may be taken.
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
        os.environ["DS_ACCELERATOR"] = load.device
        import deepspeed

        super().load(load, progress)
        if self.cell.packing is not None:
            _pack(self.model, self.cell.packing)
            return
        # Kernel injection is off: not implemented on the CPU, and on CUDA its answers are wrong with Transformers 5.17.
        self.runner = deepspeed.init_inference(self.model, dtype=self.dtype, replace_with_kernel_inject=False)

    def describe(self) -> EngineDescription:
        return replace(super().describe(), kernel_injection=False if self.cell.packing is None else None)

    def close(self) -> None:
        import torch.distributed

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _pack(model, packing: Packing) -> None:
    """Replace the layers' matrices by those of DeepSpeed's group-wise quantization.

    DeepSpeed 0.19.8 has a private name alone for it, and no way to it through `init_inference`. Along the outputs
    (axis 0) plain torch unpacks a matrix at each forward pass; along the inputs the op quantizer would.
    """
    from deepspeed.inference.quantization.quantization import _init_group_wise_weight_quantization

    groups = {"num_bits": packing.bits, "group_size": packing.group, "group_dim": packing.axis, "symmetric": False}
    parts = dict.fromkeys(("self_attn", "mlp"), groups)
    # DeepSpeed collects garbage after each matrix, 0.2 s each and 40 s in all: all that is imported is looked through.
    gc.freeze()
    try:
        _init_group_wise_weight_quantization(model, {"weight_quantization": {"post_init_quant": parts}})
    finally:
        gc.unfreeze()
