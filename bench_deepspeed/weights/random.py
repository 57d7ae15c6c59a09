"""A model of the true shape with seeded random values: for speed only; needs no licence and no download."""

from __future__ import annotations

import hashlib
import math
import shutil
from pathlib import Path

from bench_deepspeed.core.progress import Progress
from bench_deepspeed.model.catalog import ModelSpec

from . import gguf_file, local, package, shards

# The tokenizer of Mistral-7B-v0.1 (Apache-2.0): as many tokens as Llama-2's, so it stands in for it.
TOKENIZER = {
    "package": "mistral-common",
    "version": "1.12.0",
    "file": "mistral_common/data/tokenizer.model.v1",
    "bytes": 493443,
    "sha256": "dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055",
}


def write(spec: ModelSpec, seed: int, folder: Path, progress: Progress) -> dict:
    """Write a float16 model with normal values of the model's own initializer range, biases too; norms are one.

    Each tensor has a generator seeded by `seed` and its name, so the values do not depend on the order
    or the number of threads. Returns the facts for the stamp.
    """
    import torch
    from transformers import AutoConfig

    TOKENIZERS[spec.source["kind"]](spec, folder)  # first: it may be missing, and the values take a while
    spread = spec.shape["initializer_range"]

    def make(name: str) -> torch.Tensor:
        shape = spec.tensor_shapes[name]
        if len(shape) == 1 and not name.endswith(".bias"):
            return torch.ones(shape, dtype=torch.float16)
        key = hashlib.sha256(f"{seed} {name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "little", signed=True))
        return torch.empty(shape).normal_(0.0, spread, generator=generator).to(torch.float16)

    sizes = {name: 2 * math.prod(shape) for name, shape in spec.tensor_shapes.items()}
    shards.write(folder, sizes, make, "writing random weights", progress)
    AutoConfig.for_model(**spec.shape, dtype="float16").save_pretrained(folder)
    return {"weights": "random", "seed": seed}


def _stand_in(_spec: ModelSpec, folder: Path) -> None:
    from transformers import LlamaTokenizer

    shutil.copyfile(package.locate(TOKENIZER), folder / "tokenizer.model")
    LlamaTokenizer.from_pretrained(folder).save_pretrained(folder)


def _of_gguf(spec: ModelSpec, folder: Path) -> None:
    gguf_file.write_tokenizer(gguf_file.file_of(spec), folder)


TOKENIZERS = {
    "package": package.write_tokenizer,
    "folder": local.write_tokenizer,
    "gguf": _of_gguf,
    "hub": _stand_in,
}
"""Kind of a source → what writes the model's own tokenizer, or where it may not be fetched one of the same size."""
