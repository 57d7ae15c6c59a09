"""DeepSpeed around a Transformers model, where MII cannot run: `init_inference`, or its group-wise weights."""

from __future__ import annotations

import gc
import os
from dataclasses import replace

from bench_deepspeed.core.capabilities import Packing
from bench_deepspeed.core.ports import free_port
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.measure.records import EngineDescription

from . import collectives
from .base import Load
from .transformers import TransformersEngine


class DeepSpeedEngine(TransformersEngine):
    name = "deepspeed"

    def before_ranks(self, load: Load, progress: Progress) -> None:
        os.environ["DS_ACCELERATOR"] = load.device
        collectives.unlink_left_buffers()
        if load.device == "cpu" and collectives.has_shared_memory(load.tensor_parallel):
            self.kernel_build_s = collectives.build_shared_memory(progress)

    def after_ranks(self) -> None:
        collectives.unlink_buffers()

    def load(self, load: Load, progress: Progress) -> None:
        if load.tensor_parallel == 1:
            # DeepSpeed's process group of one listens on this port; the default, 29500, may be taken.
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
        os.environ["DS_ACCELERATOR"] = load.device
        import deepspeed

        super().load(load, progress)
        if self.cell.packing is not None:
            _pack(self.model, self.cell.packing)
            return
        # Kernel injection is off: not implemented on the CPU, and on CUDA its answers are wrong with Transformers 5.17.
        self.runner = deepspeed.init_inference(
            self.model, dtype=self.dtype, replace_with_kernel_inject=False, **_split(load)
        )

    def collectives(self) -> str | None:
        import deepspeed
        import torch

        backend = deepspeed.comm.comm.cdb
        least = 1 if self.dtype == torch.float32 else 2  # as `inference_all_reduce` chooses, by the CPU's vectors
        in_memory = getattr(backend, "shm_comm_op", None) is not None
        in_memory = in_memory and getattr(backend, "shm_vector_kernel_level", 0) >= least
        return "DeepSpeed's all-reduce in shared memory" if in_memory else super().collectives()

    def _placement(self, load: Load) -> dict:
        """Split, the whole model lies in the host's memory first: each rank moves its own part to its device."""
        return {"device_map": "cpu"} if load.tensor_parallel > 1 else super()._placement(load)

    def describe(self) -> EngineDescription:
        return replace(super().describe(), kernel_injection=False if self.cell.packing is None else None)


def _split(load: Load) -> dict:
    """Settings of `init_inference` for AutoTP; none for one rank."""
    import deepspeed

    if load.tensor_parallel == 1:
        return {}
    if load.device == "cpu" and not collectives.agreed(collectives.has_shared_memory(load.tensor_parallel)):
        deepspeed.ops.__compatible_ops__[collectives.SHARED_MEMORY] = False  # else DeepSpeed takes it to be there
    return {"tensor_parallel": {"tp_size": load.tensor_parallel}}


def _pack(model, packing: Packing) -> None:
    """Replace the layers' matrices by those of DeepSpeed's group-wise quantization.

    DeepSpeed 0.19.8 has a private name alone for it, and no way to it through `init_inference`. Along the outputs
    (axis 0) plain torch unpacks a matrix at each forward pass; along the inputs the op quantizer would.
    """
    from deepspeed.inference.quantization.quantization import _init_group_wise_weight_quantization

    groups = {"num_bits": packing.bits, "group_size": packing.group, "group_dim": packing.axis, "symmetric": False}
    parts = dict.fromkeys(("self_attn", "mlp"), groups)
    # DeepSpeed collects garbage after each matrix, and all that is imported is looked through: of 30 small layers that
    # took 64 s of CPU, and without it 0.2 s.
    gc.freeze()
    try:
        _init_group_wise_weight_quantization(model, {"weight_quantization": {"post_init_quant": parts}})
    finally:
        gc.unfreeze()
