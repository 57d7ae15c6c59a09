"""A GGUF file of the user's, and how any is expanded to a model folder in float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench_deepspeed.core.errors import UsageError, WeightsError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines import checkpoint
from bench_deepspeed.model import catalog
from bench_deepspeed.model.catalog import ModelSpec

from .store import sha256_of

LABEL = "expanding the GGUF file to float32"


def source_of(file: Path) -> dict[str, Any]:
    """The source of a manifest, with the file's digest. Raises OSError."""
    return {"kind": "gguf", "path": str(file), "bytes": file.stat().st_size, "sha256": sha256_of(file)}


def config_of(file: Path) -> dict[str, Any]:
    """Its configuration in the words of Transformers. Raises UsageError for a file that Transformers does not read."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(file.parent, gguf_file=file.name).to_diff_dict()
    except Exception as error:  # of three libraries: a damaged header, or an architecture that none of them knows
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UsageError(f"{file} is not read as a GGUF file: {reason}") from error


def require(path: Path, source: Mapping[str, Any], remedy: str) -> Path:
    """The file, which has the size and digest of its source. Raises WeightsError with the remedy."""
    if not path.is_file():
        raise WeightsError(f"{path} is missing: {remedy}")
    if path.stat().st_size != source["bytes"]:
        raise WeightsError(f"{path} has {path.stat().st_size} bytes instead of {source['bytes']}: {remedy}")
    if sha256_of(path) != source["sha256"]:
        raise WeightsError(f"{path} is not the file that was pinned (its SHA-256 differs): {remedy}")
    return path


def expand(file: Path, folder: Path, progress: Progress) -> None:
    """Write the file's model into `folder`, in float32 and without its tokenizer."""
    import torch

    steps = 2
    progress(LABEL, 0, steps)
    quantized = checkpoint.load_model(file.parent, gguf_file=file.name, dtype=torch.float32)
    progress(LABEL, 1, steps)
    # A model read from GGUF refuses to be saved or cast as one that is not quantized: copy it.
    config = quantized.config
    del config.quantization_config
    config.dtype = "float32"
    model = type(quantized)(config)
    model.load_state_dict(quantized.state_dict())
    model.save_pretrained(folder)
    progress(LABEL, steps, steps)


def write_tokenizer(file: Path, folder: Path, eos_token: str | None = None) -> None:
    """The file's tokenizer; `eos_token` is the end-of-sequence token where the file's own is another."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    if eos_token is not None:
        tokenizer.eos_token = eos_token
    tokenizer.clean_up_tokenization_spaces = False  # made for WordPiece; it would alter this model's text
    tokenizer.save_pretrained(folder)


def file_of(spec: ModelSpec) -> Path:
    """The verified file of a model whose source is one. Raises WeightsError."""
    remedy = f"remove {catalog.shown_file(spec.name)}, and add the file again"
    return require(Path(spec.source["path"]), spec.source, remedy)


def write(spec: ModelSpec, folder: Path, progress: Progress) -> dict:
    """Expand the file. Returns the facts for the stamp, which name no path: results are published."""
    file = file_of(spec)
    expand(file, folder, progress)
    write_tokenizer(file, folder)
    return {"weights": "pretrained", "source": {key: spec.source[key] for key in ("kind", "bytes", "sha256")}}
