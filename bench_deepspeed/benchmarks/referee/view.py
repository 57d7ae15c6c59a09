"""A run of the referee as blocks."""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import Item, unfinished
from bench_deepspeed.benchmarks.common.provenance import origin
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.core.units import change, milliseconds
from bench_deepspeed.measure import metric
from bench_deepspeed.report.blocks import Block, Figure, Link, Section, Table, Text

from . import charts
from .metrics import METRICS, share
from .records import RefereeResult, ToolRun
from .scenarios import SCENARIOS
from .scores import PLACES, Score, apart, definitions_of, more_exact, runs_of, scores
from .tools import OURS, tool
from .truth import LATENCIES

OPTIONAL = ("sent late p99", "ITL p99", "ITL p50", "failed", "E2E p99", "E2E p50", "TPOT p99", "TPOT p50", "tokens/s")
"""Columns that a narrow terminal does not show, the first one first."""
AIM = {"p50": 0.01, "p99": 0.02}
"""The largest errors that this suite is to have."""
LEGEND = (
    "errors: reported ∕ truth − 1, by the tool's own definition and clock; the mean over the runs ± half of its 95% "
    "interval, in percentage points"
)


def line(run: ToolRun) -> str:
    """A run as it is shown when it is over."""
    what = f"{run.tool}, {run.scenario}, {run.repetition}"
    if run.error is not None:
        return f"{what}: {run.error}"
    worst = [
        abs(value / run.truth[name][percentile] - 1)
        for name, values in run.reported.items()
        for percentile, value in values.items()
        if run.truth[name].get(percentile)
    ]
    return f"{what}: {run.requests} requests, largest error {max(worst, default=0):.1%}"


def headline(result: RefereeResult) -> str:
    """The largest error of each tool."""
    return "; ".join(f"{tool(name).title} {_largest(result, name)}" for name in result.settings.tools)


def _largest(result: RefereeResult, name: str) -> str:
    """The largest error at each percentile, of all metrics and scenarios."""
    found: dict[str, float] = {}
    for score in scores(result):
        for at, error in score.errors.items() if score.tool == name else ():
            if error is not None:
                found[at.percentile] = max(found.get(at.percentile, 0.0), abs(error.mean))
    return ", ".join(f"{percentile} {value:.1%}" for percentile, value in found.items()) or NOT_MEASURED


def view(result: RefereeResult) -> list[Block]:
    """What `after` shows, and whether all that was requested is there."""
    first, *others = after(result)
    return [first, *map(Text, unfinished(result)), *others]


def after(result: RefereeResult) -> list[Block]:
    """The largest errors, the table, how exact the truth is, and what was not measured."""
    measured = [score for score in scores(result) if score.runs]
    blocks: list[Block] = [Text(f"largest errors: {headline(result)}", strong=True)]
    if measured:
        blocks += [_table(measured), Text(LEGEND), Text(_beaten(measured)), Text(_beyond(measured))]
    return [*blocks, *_server(result), *map(Text, _missing(result))]


def _table(measured: Sequence[Score]) -> Table:
    rows = [metric.cells(METRICS, score, "summary") for score in measured]
    return Table(rows, "Errors", optional=OPTIONAL)


def _beaten(measured: Sequence[Score]) -> str:
    """Where this suite is not the most exact."""
    found = [
        f"{score.title}, {at.metric} {at.percentile} in {score.scenario}: {share(score.errors[at])} against "
        f"{share(ours.errors[at])}"
        for at in PLACES
        for score, ours in more_exact(measured, at)
    ]
    return f"more exact than bench.sh load, with intervals that do not overlap: {'; '.join(found) or 'no tool'}"


def _beyond(measured: Sequence[Score]) -> str:
    """Where this suite misses its own aim."""
    found = [
        f"{at.metric} {at.percentile} in {score.scenario} ({share(error)})"
        for score in measured
        for at, error in score.errors.items()
        if score.tool == OURS and error is not None and abs(error.mean) > AIM[at.percentile]
    ]
    aim = " and ".join(f"{limit:.0%} at {percentile}" for percentile, limit in AIM.items())
    return f"bench.sh load is beyond its aim of {aim} in: {', '.join(found) or 'none'}"


def _definitions(result: RefereeResult) -> Table:
    """What each tool calls a metric, how it defines it, and what that makes of the median."""
    rows = [
        {
            "tool": tool(name).title,
            "its field": tool(name).fields[definition],
            "metric": LATENCIES[definition].metric,
            "definition": LATENCIES[definition].meaning,
            "clock from": tool(name).clock if LATENCIES[definition].clocked else "",
            "apart from this suite's, p50": _range(result, name, definition),
        }
        for name in result.settings.tools
        for definition in definitions_of(name)
    ]
    return Table(rows, "Definitions")


def _range(result: RefereeResult, name: str, definition: str) -> str:
    """The smallest and the largest over the scenarios of what a definition makes of the median."""
    found = [apart(runs_of(result, name, scenario), definition, "p50") for scenario in result.settings.scenarios]
    known = sorted((one for one in found if one is not None), key=lambda one: one.mean)
    if not known:
        return NOT_MEASURED
    return " … ".join(dict.fromkeys(change(one.mean) for one in (known[0], known[-1])))


def _server(result: RefereeResult) -> list[Block]:
    """How exact the server's own log is."""
    rows = [
        {
            "scenario": check.scenario,
            "chunks": f"{check.chunks:,}",
            "log → packet p50": milliseconds(check.sent_s.get("p50")),
            "log → packet p99": milliseconds(check.sent_s.get("p99")),
            "request's packet → log p50": milliseconds(check.read_s.get("p50")),
            "request's packet → log p99": milliseconds(check.read_s.get("p99")),
        }
        for check in result.packets
        if check.error is None
    ]
    refused = [
        f"not held against packets in {check.scenario}: {check.error}" for check in result.packets if check.error
    ]
    late = [run.server_lag_s["p99"] for run in result.runs if run.server_lag_s]
    if late:
        refused.append(
            f"the server handed chunks over late by {milliseconds(max(late))} at p99 at most, which is in truth"
        )
    return [*([Table(rows, "The server's log")] if rows else []), *map(Text, refused)]


def _missing(result: RefereeResult) -> list[str]:
    """Why what is not in the table was not measured, a line for each tool and reason."""
    of_reason: dict[tuple[str, str], list[str]] = {}
    for score in scores(result):
        if score.reason is not None:
            of_reason.setdefault((score.title, score.reason), []).append(score.scenario)
    return [f"{NOT_MEASURED}: {title}, {', '.join(names)}: {reason}" for (title, reason), names in of_reason.items()]


def overview(items: Sequence[Item[RefereeResult]], compact: bool) -> list[Block]:
    """Each run of the referee: its figure, what was run, and how to repeat it."""
    return [Section(f"Referee of {item.content.started_at[-1][:10]}", _documented(item)) for item in items]


def _documented(item: Item[RefereeResult]) -> list[Block]:
    result = item.content
    chart = charts.errors(result)
    figure = [Figure(chart, f"referee-{item.path.stem}", chart.title, [item.path])] if chart else []
    measured = origin(result.environment, "cpu", result.started_at[-1])
    cpus = (
        f"The server had CPU {_listed(result.server_cpus)}, the tools had {_listed(result.tool_cpus)}; "
        f"{result.settings.repetitions} runs of each tool in each scenario."
    )
    return [
        *view(result),
        *figure,
        Section("Definitions", [_definitions(result)]),
        Section("What is sent, and by which command", [_scenarios(result), _tools(result)]),
        Text(f"{measured} {cpus}", link=Link("JSON", item.path)),
    ]


def _listed(cpus: Sequence[int]) -> str:
    return ", ".join(map(str, cpus))


def _scenarios(result: RefereeResult) -> Table:
    rows = [
        {
            "scenario": name,
            "the server": SCENARIOS[name].title,
            "load": SCENARIOS[name].load,
            "requests": str(SCENARIOS[name].requests),
            "tokens of each": str(SCENARIOS[name].tokens),
        }
        for name in result.settings.scenarios
    ]
    return Table(rows, "Scenarios")


def _tools(result: RefereeResult) -> Table:
    """Each tool's version and one command of it, with what the run fills in as capitals."""
    rows = []
    for name in result.settings.tools:
        commands = [run.command for run in result.runs if run.tool == name and run.command]
        settings = [f"{key}={value}" for key, value in tool(name).environment.items()]
        rows.append(
            {
                "tool": tool(name).title,
                "version": tool(name).requirement or "this suite",
                "note": tool(name).notes,
                "command": " ".join([*settings, *commands[0]]) if commands else NOT_MEASURED,
            }
        )
    return Table(rows, "Tools")
