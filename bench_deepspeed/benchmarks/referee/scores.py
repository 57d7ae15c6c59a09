"""How far what tools report is from the truth, over their runs in each scenario. Pure functions.

The error of a run is reported ∕ truth − 1, with the truth by the tool's own definition and clock. What the definition
itself makes of a metric is another number: truth by the tool's definition ∕ truth by this suite's − 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench_deepspeed.measure.statistics import Interval, mean_interval

from .records import RefereeResult, ToolRun
from .scenarios import SCENARIOS
from .tools import OURS, tool
from .truth import FIRST, LATENCIES, PERCENTS


class At(NamedTuple):
    """A metric at a percentile, such as ("TTFT", "p99")."""

    metric: str
    percentile: str


FIRST_OF = {LATENCIES[name].metric: name for name in FIRST}
"""Metric → this suite's definition of it."""
PLACES = tuple(At(metric, f"p{percent}") for metric in FIRST_OF for percent in PERCENTS)


@dataclass(frozen=True)
class Score:
    """One tool in one scenario. Each interval is over its runs; None: it does not report that, or no run has it.

    `errors` and `apart` (what its definition makes of the metric) are shares of the truth. `cpu_s` is for a request;
    `lag_s` the 99th percentile of how late it sends. `failed`: failed requests that it reports less those that failed,
    of all runs. `reason`: why nothing was measured.
    """

    tool: str
    scenario: str
    runs: int
    errors: dict[At, Interval | None]
    apart: dict[At, Interval | None]
    tokens: Interval | None
    cpu_s: Interval | None
    lag_s: Interval | None
    failed: int | None
    reason: str | None

    @property
    def title(self) -> str:
        return tool(self.tool).title


def scores(result: RefereeResult) -> list[Score]:
    """A row for each scenario and, in it, each tool."""
    return [_score(result, name, scenario) for scenario in result.settings.scenarios for name in result.settings.tools]


def definition_of(name: str, metric: str) -> str | None:
    """The first of a tool's definitions of a metric, by its name in `truth.LATENCIES`; None where it has none."""
    return next((found for found in definitions_of(name) if LATENCIES[found].metric == metric), None)


def definitions_of(name: str) -> list[str]:
    """All that a tool reports, by their names in `truth.LATENCIES`."""
    return list(tool(name).fields)


def apart(runs: Sequence[ToolRun], definition: str, percentile: str) -> Interval | None:
    """What a definition makes of its metric."""
    first = FIRST_OF[LATENCIES[definition].metric]

    def share(run: ToolRun) -> float | None:
        return _off(_at(run.truth, definition, percentile), _at(run.reference, first, percentile))

    return _mean(runs, share)


def runs_of(result: RefereeResult, name: str, scenario: str) -> list[ToolRun]:
    """The runs of one tool in one scenario that measured something."""
    return [run for run in result.runs if (run.tool, run.scenario, run.error) == (name, scenario, None)]


def more_exact(measured: Sequence[Score], at: At) -> list[tuple[Score, Score]]:
    """Where another tool is more exact than this suite: (its score, this suite's in that scenario).

    That is where its error is smaller in size and their intervals do not overlap.
    """
    own = {score.scenario: score for score in measured if score.tool == OURS}
    pairs = [(score, own[score.scenario]) for score in measured if score.tool != OURS and score.scenario in own]
    return [(score, ours) for score, ours in pairs if _is_apart_and_less(score.errors[at], ours.errors[at])]


def _is_apart_and_less(error: Interval | None, other: Interval | None) -> bool:
    if error is None or other is None or abs(error.mean) >= abs(other.mean):
        return False
    if None in (error.low, error.high, other.low, other.high):
        return False
    return error.high < other.low or other.high < error.low


def _score(result: RefereeResult, name: str, scenario: str) -> Score:
    runs = runs_of(result, name, scenario)
    own = {at: definition_of(name, at.metric) for at in PLACES}
    failed = [run.failed - run.true_failed for run in runs if run.failed is not None]
    return Score(
        tool=name,
        scenario=scenario,
        runs=len(runs),
        errors={at: found and _error(runs, found, at.percentile) for at, found in own.items()},
        apart={at: found and apart(runs, found, at.percentile) for at, found in own.items()},
        tokens=_mean(runs, lambda run: _off(run.tokens_per_s, run.true_tokens_per_s)),
        cpu_s=_mean(runs, lambda run: run.cpu_s / run.cpu_requests if run.cpu_s and run.cpu_requests else None),
        lag_s=_mean(runs, lambda run: run.lag_s.get("p99")),
        failed=sum(failed) if failed else None,
        reason=None if runs else _reason(result, name, scenario),
    )


def _error(runs: Sequence[ToolRun], definition: str, percentile: str) -> Interval | None:
    def share(run: ToolRun) -> float | None:
        return _off(_at(run.reported, definition, percentile), _at(run.truth, definition, percentile))

    return _mean(runs, share)


def _reason(result: RefereeResult, name: str, scenario: str) -> str:
    errors = [run.error for run in result.runs if (run.tool, run.scenario) == (name, scenario) and run.error]
    return tool(name).refusal(SCENARIOS[scenario]) or (errors[-1] if errors else "not run yet")


def _at(values: dict[str, dict[str, float]], definition: str, percentile: str) -> float | None:
    return values.get(definition, {}).get(percentile)


def _off(value: float | None, truth: float | None) -> float | None:
    return value / truth - 1 if value is not None and truth else None


def _mean(runs: Sequence[ToolRun], value: Callable[[ToolRun], float | None]) -> Interval | None:
    """The mean over the runs that have a value, with its 95% interval."""
    return mean_interval([[found] for run in runs if (found := value(run)) is not None])
