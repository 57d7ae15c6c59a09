"""Whether a speed is lower than another by more than a bound: what a gate of CI asks of a ratio and its interval."""

from __future__ import annotations

from typing import Literal, Protocol

from bench_deepspeed.core.errors import InconclusiveError, RegressionError

Outcome = Literal["shown", "excluded", "inconclusive"]


class Bounded(Protocol):
    """A ratio of tokens/s with its 95% interval."""

    @property
    def low(self) -> float | None:
        """None where there is no interval."""

    @property
    def high(self) -> float | None:
        """None where there is no interval."""

    @property
    def shown(self) -> str:
        """With its interval."""


def outcome_of(ratio: Bounded, bound: float) -> Outcome:
    """Whether the ratio is below 1 by more than `bound`, a share.

    Shown where the whole interval is below 1 - bound, excluded where it is wholly above or begins there, inconclusive
    where it reaches across, and where there is none.
    """
    if ratio.low is None or ratio.high is None:
        return "inconclusive"
    if ratio.high < 1 - bound:
        return "shown"
    return "excluded" if ratio.low >= 1 - bound else "inconclusive"


def sentence_of(ratio: Bounded, bound: float, slower: str, than: str) -> str:
    """The outcome in one line: whether `slower` is slower than `than`."""
    share, limit = f"{100 * bound:.3g}%", f"{1 - bound:.3g}"
    words = f"tokens/s × {ratio.shown}"
    across = "has no interval" if ratio.low is None else f"reaches across {limit}"
    return {
        "shown": f"{slower} is slower than {than} by more than {share}: {words}, wholly below {limit}",
        "excluded": f"{slower} is not slower than {than} by more than {share}: {words}, wholly above {limit}",
        "inconclusive": f"inconclusive: whether {slower} is slower than {than} by more than {share} is neither shown "
        f"nor excluded: {words} {across}; more `--processes` narrow it",
    }[outcome_of(ratio, bound)]


def gate(sentences: dict[str, Outcome], fail_on_inconclusive: bool) -> None:
    """Sentence → outcome. Raises RegressionError where one is shown, InconclusiveError for one that is inconclusive."""
    by_outcome = {outcome: "; ".join(s for s, o in sentences.items() if o == outcome) for outcome in sentences.values()}
    if "shown" in by_outcome:
        raise RegressionError(by_outcome["shown"])
    if fail_on_inconclusive and "inconclusive" in by_outcome:
        raise InconclusiveError(by_outcome["inconclusive"])
