"""Words and forms that every output shares."""

from __future__ import annotations

import textwrap

NOT_MEASURED = "not measured"
RANDOM = " (random weights)"
"""Behind the title of a model whose weights are random."""


_KEPT = "\n\r\t"
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
_SHOWN = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS if chr(code) not in _KEPT}


def harmless(text: str) -> str:
    """Text whose control characters are spelled out: escape sequences, separators of lines, changes of direction.

    Line ends, returns and tabs stay.
    """
    return text.translate(_SHOWN)


def one_line(text: str) -> str:
    """Text on one line, harmless, with single spaces."""
    return harmless(" ".join(text.split()))


def sentence(text: str) -> str:
    """Text with a capital and one full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def wrapped(text: str, width: int, hanging: str = "") -> str:
    """A paragraph in lines of at most `width` columns; `hanging` stands before each but the first.

    A single word is never broken, however long.
    """
    lines = textwrap.wrap(text, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)
