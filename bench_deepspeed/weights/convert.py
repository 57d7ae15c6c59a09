"""From a Transformers checkpoint to one that MII's kernels take, value for value.

MII wants every tensor in the run's precision, an output head of its own, no tensors other than the model's,
and a ratio of query to KV heads that its kernels were built for.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from bench_deepspeed.core.errors import WeightsError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines import checkpoint
from bench_deepspeed.model.arithmetic import kv_repeats
from bench_deepspeed.model.catalog import EMBEDDING, HEAD

from . import shards


def is_needed(shape: dict, stored_precision: str, precision: str) -> bool:
    """Whether a checkpoint without extra tensors has to be converted for MII at all."""
    repeats = kv_repeats(shape["num_attention_heads"], shape["num_key_value_heads"])
    return repeats > 1 or shape["tie_word_embeddings"] or stored_precision != precision


def write(source: Path, precision: str, folder: Path, progress: Progress) -> dict:
    """Write `source` in the form that MII takes. Returns the facts for the stamp.

    Raises WeightsError when the tensors of `source` are not the model's, and when a value does not fit the precision
    (float16 ends at 65,504).
    """
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source)
    repeats = kv_repeats(config.num_attention_heads, config.num_key_value_heads)
    dtype = getattr(torch, precision)
    # The model's own tensors, a tied output head among them. Old checkpoints also carry the rotary embedding's
    # constants, which MII refuses.
    tensors = checkpoint.load_model(source, device_map="meta").state_dict()
    read = _reader(source)

    def repeats_of(name: str) -> int:
        return repeats if name.rpartition(".")[0].endswith(("k_proj", "v_proj")) else 1

    def make(name: str) -> torch.Tensor:
        tensor = read(name)
        if repeats_of(name) > 1:
            heads = tensor.view(config.num_key_value_heads, -1, *tensor.shape[1:])
            tensor = heads.repeat_interleave(repeats, dim=0).flatten(0, 1)
        tensor = tensor.to(dtype).contiguous()
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{name} has values that {precision} cannot hold: use another --precision")
        return tensor

    sizes = {name: dtype.itemsize * repeats_of(name) * tensor.numel() for name, tensor in tensors.items()}
    shards.write(folder, sizes, make, f"converting to {precision} for MII", progress)
    for path in source.iterdir():
        if path.suffix in {".json", ".model", ".jinja"} and not path.name.startswith(("model.", "complete.")):
            shutil.copyfile(path, folder / path.name)
    config.update({"tie_word_embeddings": False, "dtype": precision})
    config.num_key_value_heads *= repeats
    config.save_pretrained(folder)
    return {"weights": "converted", "precision": precision, "kv_repeats": repeats}


def _reader(folder: Path) -> Callable:
    """A function that reads one tensor of a folder of safetensors files by its name."""
    from safetensors import safe_open

    files = {}
    for path in sorted(folder.glob("*.safetensors")):
        handle = safe_open(path, framework="pt")
        files |= dict.fromkeys(handle.keys(), handle)

    def read(name: str):
        if name in files:
            return files[name].get_tensor(name)
        if name == HEAD and EMBEDDING in files:
            # A tied output head becomes a copy: safetensors refuses two names for one memory.
            return files[EMBEDDING].get_tensor(EMBEDDING).clone()
        raise WeightsError(f"{folder} has no tensor with the name {name}, by which MII knows it")

    return read
