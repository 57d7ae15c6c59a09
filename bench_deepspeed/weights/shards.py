"""Writing a checkpoint shard by shard, so that memory holds one shard and not a model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench_deepspeed.core.progress import Progress

SHARD_BYTES = 2 << 30  # small enough for a machine with little memory, large enough for few files


def write(folder: Path, sizes: dict[str, int], make: Callable[[str], object], label: str, progress: Progress) -> None:
    """Write the tensors as safetensors files with an index.

    `sizes` gives each tensor's bytes, in file order; `make(name)` returns the tensor, and is called from
    several threads. A checkpoint that fits one shard becomes a single `model.safetensors`.
    """
    from safetensors.torch import save_file

    shards = _group(sizes)
    total, done = sum(sizes.values()), 0
    index = {}
    progress(label, 0, total)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for number, names in enumerate(shards, start=1):
            file = f"model-{number:05d}-of-{len(shards):05d}.safetensors" if len(shards) > 1 else "model.safetensors"
            save_file(dict(zip(names, pool.map(make, names), strict=True)), folder / file, metadata={"format": "pt"})
            index |= dict.fromkeys(names, file)
            done += sum(sizes[name] for name in names)
            progress(label, done, total)
    if len(shards) > 1:
        content = {"metadata": {"total_size": total}, "weight_map": index}
        (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=1))


def _group(sizes: dict[str, int]) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if groups[-1] and filled + size > SHARD_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    return groups
