"""The chart of errors: each tool's, a dot for each scenario."""

from __future__ import annotations

import statistics

from bench_deepspeed.report.chart import Axis, Dot, Strip, StripRow

from .metrics import share
from .records import RefereeResult
from .scores import PLACES, At, Score, scores
from .tools import tool

PERCENT = 100
METRICS = ("TTFT", "E2E")
"""Those of which both clocks are part: what the others measure is between two chunks."""


def errors(result: RefereeResult) -> Strip | None:
    """A row for each tool and each percentile of TTFT and E2E; None where nothing was measured."""
    measured = scores(result)
    places = [at for at in PLACES if at.metric in METRICS]
    rows = tuple(row for at in places for name in result.settings.tools if (row := _row(measured, name, at)))
    if not rows:
        return None
    says = "Errors of TTFT and E2E, the mean over the scenarios: " + "; ".join(f"{r.label} {r.value}" for r in rows)
    return Strip("Errors of benchmark tools, a dot for each scenario", Axis("", "%"), rows, says, reference=0.0)


def _row(measured: list[Score], name: str, at: At) -> StripRow | None:
    found = [(score, error) for score in measured if score.tool == name and (error := score.errors[at])]
    if not found:
        return None
    dots = tuple(Dot(PERCENT * error.mean, 0, f"{score.scenario}: {share(error)}") for score, error in found)
    mean = statistics.fmean(dot.value for dot in dots)
    title = tool(name).title
    return StripRow(
        label=f"{title}: {at.metric} {at.percentile}",
        keys=(),
        value=f"{mean:+.1f}%",
        aside=f"mean of {len(dots)} scenarios",
        samples=dots,
        mean=mean,
        colour=title,
    )
