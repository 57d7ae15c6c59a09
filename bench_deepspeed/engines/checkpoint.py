"""Models as Transformers reads them, refused where the checkpoint's tensors are not the model's."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.core.errors import DAMAGE, WeightsError
from bench_deepspeed.core.text import one_line

NAMED = 3  # tensors named of each kind of fault
SHOWN = 200  # characters of a library's message


def load_model(folder: Path, **settings):
    """The causal language model in a folder; `settings` are further ones of Transformers' `from_pretrained`.

    Raises WeightsError when tensors are missing, unexpected or of another shape: Transformers would only warn, and
    fill what is missing with random values. A tied output head may be absent, and what Transformers ignores in
    checkpoints of this kind may be there. Raises it too when a file that it needs is not there.
    """
    from transformers import AutoModelForCausalLM

    # Mismatched shapes would otherwise be an error that does not name them.
    settings |= {"use_safetensors": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        model, report = AutoModelForCausalLM.from_pretrained(folder, **settings)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be loaded: {str(error).splitlines()[0]}") from error
    shapes = {f"{name} ({_size(stored)}, not {_size(own)})" for name, stored, own in report["mismatched_keys"]}
    faults = {
        "missing": report["missing_keys"],
        "unexpected": report["unexpected_keys"],
        "of another shape": shapes,
    }
    if any(faults.values()):
        words = "; ".join(f"{len(names)} {kind}: {_first(names)}" for kind, names in faults.items() if names)
        raise WeightsError(
            f"{folder} does not hold the tensors of a {type(model).__name__} of its configuration: {words}. "
            "Delete the folder to have it made again, or name another source in the model's manifest"
        )
    return model


def verify(folder: Path) -> None:
    """Raise what `load_model` raises, without the memory that the tensors take.

    Whatever else keeps them from being loaded is the checkpoint's fault too, and a WeightsError: a configuration that
    is none, or a header of safetensors that cannot be read.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        load_model(folder, device_map="meta")
    except (*DAMAGE, SafetensorError, StrictDataclassError) as error:
        if "I/O error" in str(error):  # of the system, see `weights.store.disk_errors`
            raise
        raise WeightsError(f"{folder} cannot be loaded: {one_line(str(error))[:SHOWN]}") from error


def _first(names: set[str]) -> str:
    """The first of the names in alphabetical order."""
    return ", ".join([*sorted(names)[:NAMED], *(["…"] if len(names) > NAMED else [])])


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
