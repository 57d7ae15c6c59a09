"""From a Transformers checkpoint to one that MII's kernels take, value for value.

MII wants every tensor in the run's precision, an output head of its own, no tensors beside the model's,
and a ratio of query to KV heads that its kernels were built for.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bench_deepspeed.core.errors import WeightsError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.model.arithmetic import kv_repeats
from bench_deepspeed.model.catalog import EMBEDDING, HEAD

from . import shards


def is_needed(shape: dict, stored_precision: str, precision: str) -> bool:
    """Whether a checkpoint without extra tensors has to be converted for MII at all."""
    repeats = kv_repeats(shape["num_attention_heads"], shape["num_key_value_heads"])
    return repeats > 1 or shape["tie_word_embeddings"] or stored_precision != precision


def write(source: Path, precision: str, folder: Path, progress: Progress) -> dict:
    """Write `source` in the form that MII takes. Returns the facts for the stamp.

    Raises WeightsError when a value does not fit the precision (float16 ends at 65,504).
    """
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source)
    repeats = kv_repeats(config.num_attention_heads, config.num_key_value_heads)
    dtype = getattr(torch, precision)
    checkpoint = _Checkpoint(source)

    def make(name: str) -> torch.Tensor:
        # An output head that was tied becomes a copy: safetensors refuses two names for one memory.
        tensor = checkpoint.read(name) if name in checkpoint.files else checkpoint.read(EMBEDDING).clone()
        if repeats > 1 and name.endswith(("k_proj.weight", "v_proj.weight")):
            heads = tensor.view(config.num_key_value_heads, -1, tensor.shape[-1])
            tensor = heads.repeat_interleave(repeats, dim=0).flatten(0, 1)
        tensor = tensor.to(dtype).contiguous()
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{name} has values that {precision} cannot hold: use another --precision")
        return tensor

    # Old checkpoints carry the rotary embedding's constants, which are no weights and which MII refuses.
    names = [name for name in checkpoint.files if not name.endswith("rotary_emb.inv_freq")]
    if HEAD not in names:
        names.append(HEAD)
    sizes = {name: dtype.itemsize * checkpoint.count(name, repeats) for name in names}
    shards.write(folder, sizes, make, f"converting to {precision} for MII", progress)
    for path in source.iterdir():
        if path.suffix in {".json", ".model", ".jinja"} and not path.name.startswith(("model.", "complete.")):
            shutil.copyfile(path, folder / path.name)
    config.update({"tie_word_embeddings": False, "dtype": precision})
    config.num_key_value_heads *= repeats
    config.save_pretrained(folder)
    return {"weights": "converted", "precision": precision, "kv_repeats": repeats}


class _Checkpoint:
    """The tensors of a folder of safetensors files, read one at a time."""

    def __init__(self, folder: Path):
        from safetensors import safe_open

        self.files = {}
        for path in sorted(folder.glob("*.safetensors")):
            handle = safe_open(path, framework="pt")
            self.files |= dict.fromkeys(handle.keys(), handle)

    def read(self, name: str):
        return self.files[name].get_tensor(name)

    def count(self, name: str, repeats: int) -> int:
        """Number of elements that the converted tensor will have."""
        source = name if name in self.files else EMBEDDING
        elements = 1
        for size in self.files[source].get_slice(source).get_shape():
            elements *= size
        return elements * (repeats if name.endswith(("k_proj.weight", "v_proj.weight")) else 1)
