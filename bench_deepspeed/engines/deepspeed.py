"""DeepSpeed's `init_inference` around a Transformers model: DeepSpeed where MII cannot run."""

from __future__ import annotations

import os
from dataclasses import replace

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
        # Kernel injection is off: not implemented on the CPU, and on CUDA superseded by MII's kernels.
        self.runner = deepspeed.init_inference(self.model, dtype=self.dtype, replace_with_kernel_inject=False)

    def describe(self) -> EngineDescription:
        return replace(super().describe(), kernel_injection=False)

    def close(self) -> None:
        import torch.distributed

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
