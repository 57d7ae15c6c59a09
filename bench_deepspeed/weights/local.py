"""Weights that lie in a folder of the user's: copied once, so that they cannot change while they are measured."""

from __future__ import annotations

import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

from bench_deepspeed.core.errors import WeightsError, named
from bench_deepspeed.core.json_files import parse_json, read_bytes
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.model import catalog, from_config
from bench_deepspeed.model.catalog import ModelSpec

from . import store
from .listing import WANTED

WEIGHTS = "model*.safetensors"
COARSE_NS = 2_000_000_000
"""File systems keep a copy's time to this or better: FAT to two seconds."""


def files(folder: Path) -> list[Path]:
    """What of a folder is a model: its configuration, tokenizer and safetensors. Raises OSError."""
    return sorted(path for path in folder.iterdir() if any(fnmatch(path.name, name) for name in WANTED))


def size(spec: ModelSpec) -> int:
    """Bytes of the files; of a folder that cannot be read, of its parameters in 16 bits."""
    try:
        return sum(path.stat().st_size for path in files(Path(spec.source["path"])))
    except OSError:
        return 2 * spec.parameters


def damage(spec: ModelSpec, base: Path) -> str | None:
    """In words, that the folder has changed since it was copied; None for one that is gone: the copy is whole."""
    stamp = store.stamp_of(base)
    copied = stamp["files"] if stamp else {}
    try:
        there = {path.name: path.stat() for path in files(_folder(spec))}
    except OSError:
        return None
    same = there.keys() == copied.keys() and all(_is_same(there[name], *copied[name][:2]) for name in there)
    return None if same else f"{_folder(spec)} has changed since it was copied"


def _is_same(original: os.stat_result, size: int, mtime_ns: int) -> bool:
    return original.st_size == size and abs(original.st_mtime_ns - mtime_ns) <= COARSE_NS


def write(spec: ModelSpec, folder: Path, progress: Progress) -> dict:
    """Copy the model into `folder`. Returns the facts for the stamp, which name no path: results are published.

    Raises WeightsError where the model is not there, or is another than the manifest's.
    """
    try:
        found = files(_folder(spec))
    except OSError as error:
        raise WeightsError(f"cannot read {_folder(spec)}, the folder of {spec.name}: {error.strerror}") from error
    if not any(fnmatch(path.name, WEIGHTS) for path in found):
        raise WeightsError(f"{_folder(spec)} holds no {WEIGHTS}: pickled weights are not read")
    _require_shape(spec, _folder(spec) / "config.json")
    for done, path in enumerate(found):
        progress(f"copying {spec.name}", done, len(found))
        shutil.copy2(path, folder / path.name)
    progress(f"copying {spec.name}", len(found), len(found))
    return {"weights": "pretrained", "source": {"kind": "folder"}}


def write_tokenizer(spec: ModelSpec, folder: Path) -> None:
    """The model's own tokenizer."""
    for path in files(_folder(spec)):
        if not fnmatch(path.name, WEIGHTS) and path.name != "config.json" and "index" not in path.name:
            shutil.copyfile(path, folder / path.name)


def _require_shape(spec: ModelSpec, config: Path) -> None:
    """Raise WeightsError unless the configuration is the one that the manifest was made from."""
    with named(config):
        shape = from_config.shape_of(parse_json(read_bytes(config), config))
    if shape != spec.shape:
        raise WeightsError(
            f"{config} has changed since {spec.name} was added: remove {catalog.shown_file(spec.name)}, and add it "
            "again"
        )


def _folder(spec: ModelSpec) -> Path:
    return Path(spec.source["path"])
