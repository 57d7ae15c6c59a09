"""Weights that a Python package carries: found, verified and expanded to float32."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from bench_deepspeed.core.errors import MachineError, WeightsError
from bench_deepspeed.core.paths import MODEL_DATA
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines import checkpoint
from bench_deepspeed.model.catalog import ModelSpec

from .store import sha256_of


def find(name: str) -> metadata.Distribution | None:
    """An installed package: importable, or among those that setup.sh keeps off Python's path."""
    return next(iter(metadata.Distribution.discover(name=name, path=[*sys.path, str(MODEL_DATA)])), None)


def locate(source: dict) -> Path:
    """The verified file of a package.

    Raises MachineError when the package is not installed, WeightsError when the file is not the one
    whose digest is pinned.
    """
    name, version = source["package"], source["version"]
    remedy = "run ./setup.sh --force, or install models/requirements.txt with pip's --no-deps"
    installed = find(name)
    if installed is None:
        raise MachineError(f"the package {name}=={version} is not installed: {remedy}")
    path = Path(installed.locate_file(source["file"]))
    if not path.is_file():
        raise WeightsError(f"{path} is missing: {remedy}")
    if path.stat().st_size != source["bytes"]:
        raise WeightsError(f"{path} has {path.stat().st_size} bytes instead of {source['bytes']}: {remedy}")
    if sha256_of(path) != source["sha256"]:
        raise WeightsError(f"{path} is not the file that was pinned (its SHA-256 differs): {remedy}")
    return path


def write(spec: ModelSpec, folder: Path, progress: Progress) -> dict:
    """Expand the package's GGUF file to a float32 model folder. Returns the facts for the stamp."""
    import torch

    steps = 3
    progress("expanding the GGUF file to float32", 0, steps)
    gguf = locate(spec.source)
    quantized = checkpoint.load_model(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    progress("expanding the GGUF file to float32", 1, steps)
    # A model read from GGUF refuses to be saved or cast as one that is not quantized: copy it.
    config = quantized.config
    del config.quantization_config
    config.dtype = "float32"
    model = type(quantized)(config)
    model.load_state_dict(quantized.state_dict())
    model.save_pretrained(folder)
    progress("expanding the GGUF file to float32", 2, steps)
    write_tokenizer(spec, folder, progress)
    progress("expanding the GGUF file to float32", steps, steps)
    source = {key: spec.source[key] for key in ("package", "version", "file", "sha256")}
    return {"weights": "pretrained", "source": source}


def write_tokenizer(spec: ModelSpec, folder: Path, progress: Progress) -> None:
    """The GGUF file's tokenizer, with the end-of-sequence token that the model was trained with."""
    from transformers import AutoTokenizer

    gguf = locate(spec.source)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.eos_token = spec.source["eos_token"]
    tokenizer.clean_up_tokenization_spaces = False  # made for WordPiece; it would alter this model's text
    tokenizer.save_pretrained(folder)
