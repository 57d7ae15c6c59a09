"""Words and forms that every output shares."""

from __future__ import annotations

NOT_MEASURED = "not measured"
RANDOM = " (random weights)"
"""Behind the title of a model whose weights are random."""


def sentence(text: str) -> str:
    """Text with a capital and one full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
