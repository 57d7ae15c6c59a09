"""The precisions of weights and arithmetic: one table of what is known of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """`value_bytes` of one weight or activation; `epsilon`: the spacing of its numbers at 1."""

    name: str
    value_bytes: int
    epsilon: float


PRECISIONS: dict[str, Precision] = {
    p.name: p
    for p in (
        Precision("float16", 2, 2.0**-10),
        Precision("bfloat16", 2, 2.0**-7),
        Precision("float32", 4, 2.0**-23),
    )
}
"""Name → precision, in the order in which tables show them."""
