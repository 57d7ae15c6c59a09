"""A load test as blocks: its levels, and the notes on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench_deepspeed.benchmarks.common.kind import Item, unfinished
from bench_deepspeed.benchmarks.common.provenance import environment_facts, origin
from bench_deepspeed.core.text import FAKE, NOT_MEASURED, figure_name, sentence
from bench_deepspeed.core.units import number
from bench_deepspeed.measure import metric
from bench_deepspeed.report.blocks import Block, Facts, Figure, Link, Section, Table, Text

from . import charts
from .labels import facets_of, model_title, percentile_text, title
from .metrics import METRICS, TABLE_PERCENTILES, LevelRow, rows
from .records import Level, LoadResult
from .saturation import CONFIDENCE, bracket
from .service_level import GENERATION_TOKENS_PER_S

LEGEND = (
    "TTFT, TPOT and E2E: median and 99th percentile [95% interval] of the requests due in the steady window, where a "
    "failed one is infinite; not measured: n of N: they are worth n independent ones, and N are needed; requests/s: "
    "those that ended in the window; tokens/s: all tokens that came in it over its seconds; offered: what was due; "
    f"effective: FastGen's effective throughput at {', '.join(map(str, GENERATION_TOKENS_PER_S))} tokens/s"
)
SHORT_LEGEND = (
    "offered: requests due a second; achieved: that ended; latencies: of requests due in the steady window, failed "
    "ones infinite, with 95% intervals; not measured: n of N: they are worth n independent ones, and N are needed; all "
    "percentiles: `bench.sh report --format csv`"
)


def line(result: LoadResult, level: Level) -> str:
    """One level in a line, as soon as it is over."""
    row = LevelRow(result, level)
    cells = metric.cells(METRICS, row, "summary")
    if not row.measured:
        return f"{level.name}: {cells['remarks']}"
    shown = [f"{name} {cells[name]}" for name in ("requests/s", "offered", "tokens/s", "E2E p50, ms")]
    return "; ".join([f"{level.name}: {', '.join(shown)}", *filter(None, [cells["verdict"], cells["remarks"]])])


def view(result: LoadResult) -> list[Block]:
    """What follows from all levels, how much each was offered and achieved, its latencies, and its verdict."""
    measured = [row for row in rows(result) if row.measured]
    tables = [
        Table([{"load": row.level.name, **_throughput(row)} for row in measured], "Throughput"),
        Table([cells for row in measured for cells in _latencies(row)], "Latency"),
    ]
    doubts = _doubts(result)
    return [
        *map(Text, conclusions(result)),
        *(tables if measured else []),
        *([Facts(doubts)] if doubts else []),
        *([Text(SHORT_LEGEND)] if measured else []),
    ]


def _throughput(row: LevelRow) -> dict[str, str]:
    s = row.statistics
    return {
        "offered, 1/s": number(s.offered_per_s),
        "achieved, 1/s": number(s.requests_per_s),
        "tokens/s": number(s.tokens_per_s),
        "failed": f"{s.failed} of {s.due}",
    }


def _latencies(row: LevelRow) -> list[dict[str, str]]:
    """One line a latency, with its median and its 99th percentile."""
    found = row.statistics.latencies
    return [
        {
            "load": row.level.name,
            "latency": name.upper(),
            **{f"p{percent}, ms": percentile_text(found[name].get(percent)) for percent in percents},
        }
        for name, percents in TABLE_PERCENTILES.items()
    ]


def _doubts(result: LoadResult) -> dict[str, str]:
    """Level → its goodput, its verdict, and what makes its values doubtful, where there is any of them."""
    by_level = {}
    for row in rows(result):
        cells, good = metric.cells(METRICS, row, "summary"), row.statistics.goodput_per_s
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
    if result.scenario["engine"] == "fake":
        lines[0] += f". {sentence(FAKE)}"
    if any(level.rate is not None for level in result.levels):
        lines.insert(1, f"sustained rate: {bracket_words(result.levels)}")
    if result.stopped:
        lines.insert(1, f"stopped at {result.stopped}")
    return lines


def bracket_words(levels: Sequence[Level]) -> str:
    """The bracket of the capacity, as rates that were offered, and the confidence of each of its ends."""
    found = bracket(levels)
    ends = (("at least", found.sustained), ("less than", found.not_sustained))
    told = " and ".join(f"{words} {rate:.3g} requests/s" for words, rate in ends if rate is not None)
    return f"{told}, as offered (confidence of each end: {CONFIDENCE:.1%})" if told else NOT_MEASURED


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
