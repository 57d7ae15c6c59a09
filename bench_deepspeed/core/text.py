"""Words and forms that every output shares."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

NOT_MEASURED = "not measured"
NO_INTERVAL = "no interval"
"""In the brackets of an interval that was not measured, behind a value that was."""
RANDOM = " (random weights)"
"""Behind the title of a model whose weights are random."""
SHAPE_ONLY = "random weights: the speed of the model's shape; the answers have no meaning"
"""The remark on a speed with random weights."""


REMOTE = "remote"
"""The device of a server that is not this suite's: what it has is not known."""
AS_SERVED = "as served"
"""The weights and the precision of such a server."""
RANKS = "ranks that the model is split over"
"""What the number of ranks of a result is."""
FAKE = "the fake engine: not a measurement of anything"
"""Next to every figure of the engine that exists for testing the suite."""


def has_random_weights(weights: str, *engines: str) -> bool:
    """Whether a speed is that of a model's shape only. The fake engine has no weights."""
    return weights == "random" and set(engines) != {"fake"}


def model_title(title: str, weights: str, *engines: str) -> str:
    """The model, and whether its weights are random."""
    return title + (RANDOM if has_random_weights(weights, *engines) else "")


def engine_title(engine: str, ranks: int) -> str:
    """The engine, and its ranks where there are several."""
    return engine if ranks == 1 else f"{engine}, {ranks} ranks"


def figure_name(model: str, weights: str, what: str) -> str:
    """The name of a figure of a model's results: that of random weights is another than that of its own."""
    return "-".join([model, *(["random"] if weights == "random" else []), what])


def file_name(text: str) -> str:
    """Text as the name of a file: lower case, with a hyphen for whatever is no letter, digit, point or underscore."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-.") or "unnamed"


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


def counted(number: int, noun: str) -> str:
    """ "1 process", "3 processes"."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def closest(word: str, known: Iterable[str]) -> str:
    """ " (did you mean 'x'?)" with the known word that is most like this one; nothing where none is like it."""
    import difflib  # every start of the suite would pay for it

    matches = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def sentence(text: str) -> str:
    """Text with a capital and one full stop; a name that it begins with, of a file or a setting, stays as it is."""
    first = text.partition(" ")[0].rstrip(".")
    begins = text[:1] if {".", "_"} & set(first) else text[:1].upper()
    return begins + text[1:].rstrip(".") + "."


def wrapped(text: str, width: int, hanging: str = "") -> str:
    """A paragraph in lines of at most `width` columns; `hanging` stands before each but the first.

    A single word is never broken, however long.
    """
    lines = textwrap.wrap(text, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)
