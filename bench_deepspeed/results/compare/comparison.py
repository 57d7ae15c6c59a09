"""Two or more results; the others are compared with the first."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase

from bench_deepspeed.benchmarks.run import metrics
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.measure.ratio import Ratio, speed_ratio
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.regression import Outcome, outcome_of

from .comparable import differences

SCHEMA_VERSION = 3


def compared() -> list[Metric[Result]]:
    """The metrics that a comparison shows with ratios: those with a better direction."""
    return [metric for metric in metrics.METRICS if metric.better is not None and metric.place != "data"]


@dataclass(frozen=True)
class Comparison:
    """What is compared. `obstacles` say why it should not be, where it was forced; `bound` is that of a regression."""

    paths: list[Path]
    results: list[Result]
    obstacles: list[str]
    bound: float | None

    @property
    def letters(self) -> str:
        """The names of the results: a, b, c, …"""
        return ascii_lowercase[: len(self.results)]

    def speeds(self) -> dict[str, Ratio | None]:
        """Letter of each but the first → its tokens/s over the first's."""
        ratios = (speed_ratio(self.results[0], other) for other in self.results[1:])
        return dict(zip(self.letters[1:], ratios, strict=True))

    def regressions(self) -> dict[str, Outcome]:
        """Letter of each but the first → "shown", "excluded" or "inconclusive"; empty without --fail_on_regression."""
        if self.bound is None:
            return {}
        return {letter: outcome_of(ratio, self.bound) for letter, ratio in self.speeds().items() if ratio}

    def as_json(self) -> dict:
        """All of it as numbers; docs/reference/fields.md documents each field."""
        first, *others = self.results
        return {
            "files": dict(zip(self.letters, map(str, self.paths), strict=True)),
            "not_comparable": self.obstacles,
            "differences": differences(self.results),
            "figures": {
                metric.title: {
                    "values": [metric.value(result) for result in self.results],
                    "ratios": [metric.ratio(first, other) for other in others],
                }
                for metric in compared()
            },
            "speeds": {letter: ratio and _as_json(ratio) for letter, ratio in self.speeds().items()},
            "regressions": self.regressions(),
            "kind": "comparison",
            "schema_version": SCHEMA_VERSION,
        }


def _as_json(ratio: Ratio) -> dict:
    """A ratio, what follows from it, and the smallest one above 1 that would be shown with 80% power."""
    detectable = ratio.detectable and ratio.detectable.ratio
    return {**dataclasses.asdict(ratio), "verdict": ratio.verdict, "detectable": detectable}
