"""The tokens that a timed generation answered, read as soon as the clock has stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

Read = tuple[list[int] | None, float]
"""Token ids, None for an engine that keeps none, and the seconds of reading them."""


@dataclass(frozen=True)
class Answered:
    """The tokens of one timed generation, None for an engine that keeps none, and the seconds of reading them."""

    prompt: str
    ids: list[int] | None
    read_s: float


def read(ids: Sequence[int] | None) -> Read:
    """Token ids as an engine has them, such as a tensor or numbers of another kind, as a list; seconds of reading."""
    started = time.perf_counter()
    as_numbers = getattr(ids, "tolist", None)
    found = None if ids is None else as_numbers() if as_numbers else [int(token) for token in ids]
    return found, time.perf_counter() - started
