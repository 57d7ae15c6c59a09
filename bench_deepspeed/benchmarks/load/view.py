"""A load test as blocks: its levels, and the notes on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench_deepspeed.benchmarks.common.kind import Item, unfinished
from bench_deepspeed.benchmarks.common.provenance import environment_facts, origin
from bench_deepspeed.core.text import NOT_MEASURED, figure_name
from bench_deepspeed.measure import metric
from bench_deepspeed.report.blocks import Block, Facts, Figure, Link, Section, Table, Text

from . import charts
from .labels import facets_of, model_title, title
from .level_statistics import GENERATION_TOKENS_PER_S
from .metrics import METRICS, LevelRow, rows
from .records import Level, LoadResult
from .saturation import highest_sustained, judge

LEGEND = (
    "TTFT, TPOT and E2E: median and 99th percentile of requests due in the steady window; requests/s and tokens/s: "
    "what ended and what came in it, offered: what was due; failed requests are in none of them; effective: requests/s "
    f"within FastGen's service level at {', '.join(map(str, GENERATION_TOKENS_PER_S))} tokens/s"
)


def line(result: LoadResult, level: Level) -> str:
    """One level in a line, as soon as it is over."""
    row = LevelRow(result, level)
    cells = metric.cells(METRICS, row, "summary")
    if not row.measured:
        return f"{level.name}: {cells['remarks']}"
    shown = [f"{name} {cells[name]}" for name in ("requests/s", "offered", "tokens/s", "E2E p50", "E2E p99")]
    return "; ".join([f"{level.name}: {', '.join(shown)}", *filter(None, [cells["verdict"], cells["remarks"]])])


def view(result: LoadResult) -> list[Block]:
    """All levels, and the notes on them."""
    return [_table(result, "summary"), *map(Text, notes(result))]


def _table(result: LoadResult, *places: str) -> Table:
    cells = [{k: v for place in places for k, v in metric.cells(METRICS, row, place).items()} for row in rows(result)]
    return Table(
        _without_empty_columns(cells), f"Load test of {title(result)}", [frozenset({facets_of(result)})] * len(cells)
    )


def _without_empty_columns(cells: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The rows without the columns that are empty at every level."""
    titles = cells[0] if cells else {}
    empty = {name for name in titles if {row[name] for row in cells} <= {"", NOT_MEASURED}}
    return [{name: value for name, value in row.items() if name not in empty} for row in cells]


def notes(result: LoadResult) -> list[str]:
    """What was sent, and what follows from all levels together."""
    lines = [f"{title(result)}. {result.target['service']}", LEGEND]
    rates = [level.rate for level in result.levels if level.rate is not None]
    if rates:
        lines.insert(1, "highest sustained rate: " + _sustained(result, min(rates)))
    if result.stopped:
        lines.insert(1, f"stopped at {result.stopped}")
    return lines


def _sustained(result: LoadResult, lowest: float) -> str:
    sustained = highest_sustained(result.levels)
    if sustained is not None:
        return f"{sustained:g} requests/s"
    if any(level.rate == lowest and judge(level).saturated for level in result.levels):
        return f"below {lowest:g} requests/s, the lowest that was tried"
    return NOT_MEASURED


def overview(items: Sequence[Item[LoadResult]], compact: bool) -> list[Block]:
    """The curves of each model's load tests in one chart, then the levels of each test."""
    models = dict.fromkeys(model_title(item.content) for item in items)
    groups = [[item for item in items if model_title(item.content) == model] for model in models]
    return [*(figure for group in groups for figure in _figure(group)), *map(_section, items)]


def _figure(items: Sequence[Item[LoadResult]]) -> list[Figure]:
    """The chart of one model's load tests, where they have points for one."""
    first = items[0].content
    chart = charts.latency(model_title(first), [item.content for item in items])
    name = figure_name(first.scenario["model"], first.scenario["weights"], "load")
    return [Figure(chart, name, chart.title, tuple(item.path for item in items))] if chart else []


def _section(item: Item[LoadResult]) -> Section:
    result = item.content
    measured = origin(result.environment, result.scenario["device"], result.started_at)
    blocks: list[Block] = [
        *map(Text, unfinished(result)),
        *view(result),
        Text(measured, link=Link("JSON", item.path)),
        Section("All metrics of each level", [_table(result, "summary", "detail")], folded=True),
        Section("Environment", [Facts(environment_facts(result.environment.facts))], folded=True),
    ]
    return Section(title(result), blocks, facets=frozenset({facets_of(result)}))
