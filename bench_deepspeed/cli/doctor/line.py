"""One line of the report, and how bad it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OK, NOTE, WARNING, MISSING = "ok", "note", "warning", "missing"
BLOCKER = "blocker"  # not even the smallest model runs on the CPU: exit code 3

INDENT = " " * 9
"""Below the status, where a line goes on."""


@dataclass(frozen=True)
class Line:
    """One line of the report. `remedy` says what to do, or what does without."""

    status: str
    name: str
    detail: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.name}: {self.detail}" if self.detail else self.name
        return f"{self.status:<{len(INDENT) - 1}} {text}" + (f" — {self.remedy}" if self.remedy else "")


def is_ok(checks: Iterable[Line], name: str) -> bool:
    return any(check.name == name and check.status == OK for check in checks)
