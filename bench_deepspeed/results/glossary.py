"""What each metric means, as the documents have it."""

from __future__ import annotations

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.report.tables import grid

DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", None: ""}


def table(subject: str) -> str:
    """The metrics that the tables of one kind show: title, unit, meaning, and which direction is better."""
    return grid(
        [
            {"metric": m.title, "unit": m.unit.removeprefix("long "), "meaning": m.meaning, "": DIRECTIONS[m.better]}
            for m in registry.kind(subject).metrics
            if m.place != "data"
        ]
    )
