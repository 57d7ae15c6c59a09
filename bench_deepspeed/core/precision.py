"""The precisions of arithmetic, and the names of all that a model can be run in."""

from __future__ import annotations

from dataclasses import dataclass

SPACINGS = 4
LARGEST_LOGIT = 16.0
SMALLEST_TIE = 1e-3  # what the sums of a whole model leave in float32, whose spacing is far below


@dataclass(frozen=True)
class Precision:
    """`value_bytes` of one weight or activation; `epsilon`: the spacing of its numbers at 1."""

    name: str
    value_bytes: int
    epsilon: float

    @property
    def near_tie(self) -> float:
        """What two orders of summation may leave between two logits, in logits.

        Logits reach two digits, where numbers are `LARGEST_LOGIT` times as far apart as at 1.
        """
        return max(SPACINGS * self.epsilon * LARGEST_LOGIT, SMALLEST_TIE)


PRECISIONS: dict[str, Precision] = {
    p.name: p
    for p in (
        Precision("float32", 4, 2.0**-23),
        Precision("bfloat16", 2, 2.0**-7),
        Precision("float16", 2, 2.0**-10),
    )
}
"""Name → precision of arithmetic."""
QUANTIZED = ("int8", "int4", "fp8", "fp6")
"""Of the weights in the layers' matrices alone: all else is in a precision of arithmetic, see `capabilities`."""
NAMES = (*PRECISIONS, *QUANTIZED)
"""What `--precision` takes, in the order in which tables show them."""
