"""The flags that take lists."""

from __future__ import annotations

from .. import ranges
from ..engines import DEFAULTS, ENGINES
from .plan import LISTS, PRECISION

MEANINGS = {
    "batch_sizes": "sequences at once",
    "prompt_tokens": "of each prompt, random ones",
    "max_tokens": "new tokens of each sequence, exactly",
}


def add_lists(group) -> None:
    """The five lists whose product is measured."""
    for name, defaults in LISTS.items():
        shown = {device: ",".join(map(str, values)) for device, values in defaults.items()}
        note = f"{MEANINGS[name]} (default: {shown['cuda']}, on cpu {shown['cpu']})"
        group.add_argument(f"--{name}", type=ranges.numbers, metavar="LIST", help=note)
    precisions = ranges.names(("float16", "bfloat16", "float32"))
    note = f"default: {PRECISION['cuda']}, on cpu {PRECISION['cpu']}"
    group.add_argument("--precisions", type=precisions, metavar="LIST", help=note)
    note = f"default: {DEFAULTS['cuda']}, on cpu {DEFAULTS['cpu']}"
    group.add_argument("--engines", type=ranges.names(tuple(ENGINES)), metavar="LIST", help=note)
