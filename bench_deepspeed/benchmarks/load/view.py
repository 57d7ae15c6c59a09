"""A load test as blocks: its levels, and the notes on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench_deepspeed.benchmarks.common.kind import Item, unfinished
from bench_deepspeed.benchmarks.common.provenance import environment_facts, origin
from bench_deepspeed.core.text import NOT_MEASURED, figure_name
from bench_deepspeed.core.units import number
from bench_deepspeed.measure import metric
from bench_deepspeed.report.blocks import Block, Facts, Figure, Link, Section, Table, Text

from . import charts
from .labels import facets_of, model_title, title
from .level_statistics import GENERATION_TOKENS_PER_S
from .metrics import METRICS, TABLE_PERCENTILES, LevelRow, rows
from .records import Level, LoadResult
from .saturation import highest_sustained, judge

LEGEND = (
    "TTFT, TPOT and E2E: median and 99th percentile of requests due in the steady window; requests/s and tokens/s: "
    "what ended and what came in it, offered: what was due; failed requests are in none of them; effective: requests/s "
    f"within FastGen's service level at {', '.join(map(str, GENERATION_TOKENS_PER_S))} tokens/s"
)
SHORT_LEGEND = (
    "offered: requests due; achieved: requests that ended; latencies: median / 99th percentile of requests due in the "
    "steady window, failed ones left out; all percentiles: `bench.sh report --format csv`"
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
    """What follows from all levels, how much each was offered and achieved, its latencies, and its verdict."""
    measured = [row for row in rows(result) if row.measured]
    tables = [
        Table([{"load": row.level.name, **cells_of(row)} for row in measured], title)
        for title, cells_of in (("Throughput", _throughput), ("Latency", _latencies))
        if measured
    ]
    doubts = _doubts(result)
    return [
        *map(Text, conclusions(result)),
        *tables,
        *([Facts(doubts)] if doubts else []),
        *([Text(SHORT_LEGEND)] if measured else []),
    ]


def _throughput(row: LevelRow) -> dict[str, str]:
    s = row.statistics
    return {
        "offered requests/s": number(s.offered_per_s),
        "achieved requests/s": number(s.requests_per_s),
        "tokens/s": number(s.tokens_per_s),
    }


def _latencies(row: LevelRow) -> dict[str, str]:
    """Median and 99th percentile of each latency in one cell, in ms."""
    cells = {}
    for name, percents in TABLE_PERCENTILES.items():
        seconds = getattr(row.statistics, f"{name}_s") or {}
        cells[f"{name.upper()}, ms"] = " / ".join(_ms(seconds.get(f"p{percent}")) for percent in percents)
    return {**cells, "failed": f"{row.statistics.failed} of {row.statistics.due}"}


def _ms(seconds: float | None) -> str:
    return NOT_MEASURED if seconds is None else number(1e3 * seconds, 1 if seconds < 1 else 0)


def _doubts(result: LoadResult) -> dict[str, str]:
    """Level → its goodput, its verdict, and what makes its values doubtful, where there is any of them."""
    by_level = {}
    for row in rows(result):
        cells, good = metric.cells(METRICS, row, "summary"), row.statistics.good_per_s
        goodput = [] if good is None else [f"goodput {number(good)} requests/s"]
        by_level[row.level.name] = "; ".join(filter(None, [*goodput, cells["verdict"], cells["remarks"]]))
    return {level: text for level, text in by_level.items() if text}


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
    """The conclusions, and what the columns of the table are."""
    return [*conclusions(result), LEGEND]


def conclusions(result: LoadResult) -> list[str]:
    """What was sent, and what follows from all levels together."""
    lines = [f"{title(result)}. {result.target['service']}"]
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
        _table(result, "summary"),
        *map(Text, notes(result)),
        Text(measured, link=Link("JSON", item.path)),
        Section("All metrics of each level", [_table(result, "summary", "detail")], folded=True),
        Section("Environment", [Facts(environment_facts(result.environment.facts))], folded=True),
    ]
    return Section(title(result), blocks, facets=frozenset({facets_of(result)}))
