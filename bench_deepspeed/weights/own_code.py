"""Refuses a model folder that brings Python code of its own.

Transformers runs such code when it is called with `trust_remote_code=True`. The servers of `mii.serve` read the
tokenizer in that way (MII 0.3.3), without a setting to turn it off. No model of this suite needs such code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench_deepspeed.core.errors import WeightsError

SETTINGS_FILES = "*config*.json"
"""Where Transformers looks for the name of such code. In other files, such as tokenizer.json, keys are tokens."""
CODE_KEYS = {"auto_map", "custom_pipelines", "custom_code"}


def refuse(folder: Path) -> None:
    """Raise WeightsError when the folder holds a Python file, or when one of its settings files names code or cannot be
    read."""
    if scripts := sorted(folder.rglob("*.py")):
        raise _refusal(f"{scripts[0]} is Python code")
    for path in sorted(folder.rglob(SETTINGS_FILES)):
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            names = sorted(CODE_KEYS & set(_keys(settings)))
        except (OSError, ValueError, RecursionError) as error:
            raise WeightsError(f"{path} cannot be read: {error}") from error
        if names:
            raise _refusal(f"{path} names code of its own ({names[0]})")


def _refusal(what: str) -> WeightsError:
    return WeightsError(f"{what}: no model's own code is run here; use weights that need none")


def _keys(value: object) -> Iterator[str]:
    """The keys, at any depth of a JSON value, whose value is not empty."""
    if isinstance(value, list):
        for inner in value:
            yield from _keys(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if inner:
                yield key
            yield from _keys(inner)
