"""Weights that a Python package carries: found, verified and expanded to float32."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.paths import MODEL_DATA
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.model.catalog import ModelSpec

from . import gguf_file


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
    return gguf_file.require(path, source, remedy)


def write(spec: ModelSpec, folder: Path, progress: Progress) -> dict:
    """Expand the package's GGUF file to a float32 model folder. Returns the facts for the stamp."""
    gguf_file.expand(locate(spec.source), folder, progress)
    write_tokenizer(spec, folder)
    source = {key: spec.source[key] for key in ("package", "version", "file", "sha256")}
    return {"weights": "pretrained", "source": source}


def write_tokenizer(spec: ModelSpec, folder: Path) -> None:
    """The GGUF file's tokenizer, with the end-of-sequence token that the model was trained with."""
    gguf_file.write_tokenizer(locate(spec.source), folder, spec.source["eos_token"])
