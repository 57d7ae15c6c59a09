"""What a campaign ran, how it ended, and what was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What a campaign ran, how it ended, and what was wrong."""

    cases: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """What else was counted, by what it is of."""
    failures: list[dict[str, object]] = field(default_factory=list)

    def add(self, what: object, code: int | None, wrong: Sequence[str]) -> None:
        """Count one case; `what` it was is kept where anything was wrong."""
        self.cases += 1
        self.codes[str(code)] = self.codes.get(str(code), 0) + 1
        if wrong:
            self.failures.append({"case": what, "wrong": list(wrong)})

    def count(self, what: str, value: str) -> None:
        """Count a value of one property of the cases."""
        counts = self.counts.setdefault(what, {})
        counts[value] = counts.get(value, 0) + 1
