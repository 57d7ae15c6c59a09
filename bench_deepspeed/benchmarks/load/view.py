"""A load test as blocks: a row a level, and what must be known with it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from bench_deepspeed.benchmarks.common.kind import Item, unfinished
from bench_deepspeed.benchmarks.common.provenance import environment_facts, origin
from bench_deepspeed.core.text import FAKE, NOT_MEASURED, counted, figure_name, sentence
from bench_deepspeed.measure import metric
from bench_deepspeed.report.blocks import Block, Facts, Figure, Link, Section, Table, Text

from . import charts, search, token_counts
from .efficiency import gpus
from .labels import facets_of, model_name, model_title, percentile_text, title
from .metrics import METRICS, TABLE_LATENCIES, TABLE_PERCENTILES, LevelRow, latency_title, percentile_title, rows
from .records import PERCENTILES, Level, LoadResult
from .saturation import CONFIDENCE, bracket
from .service_level import GENERATION_TOKENS_PER_S

LEGEND = (
    "requests/s offered: due in the window; achieved: ended in it; tokens/s: all tokens that came in the window over "
    "its seconds; TTFT, TPOT and E2E: median and 99th percentile [95% interval] of the requests due in the window, a "
    "failed one infinite; verdict: whether the rate was sustained; effective: FastGen's effective throughput at "
    f"{', '.join(map(str, GENERATION_TOKENS_PER_S))} tokens/s"
)
SHORT_LEGEND = (
    "offered: due in the window; achieved: ended in it; failed requests have infinite latencies; intervals and all "
    "percentiles: `bench.sh report --format csv`, or html"
)
OPTIONAL = (
    "TPOT p99, ms",
    "TTFT p99, ms",
    "E2E p99, ms",
    "TPOT median, ms",
    "within SLA",
    "failed",
    "TTFT median, ms",
    "tokens/s",
)
"""Columns that a narrow terminal does not show, the first one first."""


def line(result: LoadResult, level: Level) -> str:
    """One level in a line, as soon as it is over."""
    row = LevelRow(result, level)
    if not row.measured:
        return f"{level.name}: {'; '.join(row.statistics.remarks)}"
    cells = _cells(row)
    speeds = [f"{cells[name]} {name}" for name in ("requests/s offered", "requests/s achieved", "tokens/s")]
    shown = ", ".join([*speeds, f"E2E median {cells['E2E median, ms']} ms"])
    verdict = [row.verdict.words] if row.verdict else []
    verdict += [f"SLO {row.attainment.state}: {row.attainment.words}"] if row.attainment else []
    return "; ".join([f"{level.name}: {shown}", *verdict, *row.statistics.remarks])


def view(result: LoadResult) -> list[Block]:
    """What follows from all levels, then a row a level that was measured, and what makes its values doubtful."""
    measured = [row for row in rows(result) if row.measured]
    table = Table([_bare(cells) for cells in _shown(measured)], "Levels", optional=OPTIONAL)
    doubts = _doubts(result)
    return [
        Text(answer(result), strong=True),
        *map(Text, [result.target["service"], *conclusions(result)]),
        *([table] if measured else []),
        *map(Text, _missing(measured)),
        *([Facts(doubts)] if doubts else []),
        *([Text(SHORT_LEGEND)] if measured else []),
    ]


def _cells(row: LevelRow) -> Mapping[str, str]:
    return metric.cells(METRICS, row, "summary")


def _bare(cells: Mapping[str, str]) -> dict[str, str]:
    """The cells without their intervals."""
    return {name: cell.partition(" [")[0] for name, cell in cells.items()}


def _shown(levels: Sequence[LevelRow]) -> list[dict[str, str]]:
    """The cells of each level, without the columns that say nothing at any level."""
    cells = [_cells(row) for row in levels]
    if not any(row.statistics.failed for row in levels):
        cells = [{name: cell for name, cell in own.items() if name != "failed"} for own in cells]
    return _without_empty_columns(cells)


def _without_empty_columns(cells: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    empty = {name for name in (cells[0] if cells else {}) if {row[name] for row in cells} <= {"", NOT_MEASURED}}
    return [{name: value for name, value in row.items() if name not in empty} for row in cells]


def _missing(levels: Sequence[LevelRow]) -> list[str]:
    """What the table does not show since it is the same at each level: failures, and percentiles without a value."""
    if not levels:
        return []
    lacking: dict[int, list[str]] = {}
    for name, percent in itertools.product(TABLE_LATENCIES, TABLE_PERCENTILES):
        found = [one for row in levels if (one := row.statistics.latencies.get(name, {}).get(percent))]
        if found and all(one.value is None for one in found):
            lacking.setdefault(found[0].needed, []).append(f"{latency_title(name)} {percentile_title(percent)}")
    return [
        *([] if any(row.statistics.failed for row in levels) else ["no request failed"]),
        *(
            f"{NOT_MEASURED} at any level: {', '.join(names)} (it takes {needed} independent requests, and those that "
            "follow one another are alike)"
            for needed, names in lacking.items()
        ),
    ]


def _doubts(result: LoadResult) -> dict[str, str]:
    """Level → what makes its values doubtful, where there is anything."""
    remarks = {row.level.name: "; ".join(row.statistics.remarks) for row in rows(result)}
    return {level: text for level, text in remarks.items() if text}


def fastest(result: LoadResult) -> LevelRow | None:
    """The level with the most tokens/s; None where none was measured."""
    measured = [row for row in rows(result) if row.measured]
    return max(measured, key=lambda row: row.statistics.tokens_per_s or 0.0, default=None)


def answer(result: LoadResult) -> str:
    """The one sentence: what was loaded, and the most tokens/s of a level."""
    best = fastest(result)
    most = f"tokens/s {NOT_MEASURED}" if best is None else f"{_bare(_cells(best))['tokens/s']} tokens/s"
    return f"{title(result)}: {most}{f' ({best.level.name}, the level with the most)' if best else ''}"


def conclusions(result: LoadResult) -> list[str]:
    """What follows from all levels together."""
    lines = [sentence(FAKE)] if result.scenario["engine"] == "fake" else []
    if result.stopped:
        lines.append(f"stopped at {_reason(result.stopped)}")
    lines.extend([*_served(result), *_sent(result)])
    if result.gpu_hour is not None:
        lines.append(_price(result))
    if result.slo is not None:
        lines.extend(search.words(result.levels, result.slo))
    if any(level.rate is not None for level in result.levels):
        lines.append(f"maximum sustainable request rate: {bracket_words(result.levels)}")
    return lines


SAMPLED = "the server takes no field for greedy decoding, so answers may be sampled"


def _price(result: LoadResult) -> str:
    """What the cost is made of."""
    number = gpus(result)
    if number is None:
        return f"cost {NOT_MEASURED}: how many GPUs the server uses is not known, which --gpus says"
    priced = "the machine" if result.scenario["device"] == "cpu" else counted(number, "GPU")
    each = "each of " if number > 1 else ""
    return (
        f"cost: {result.gpu_hour:g} for an hour of {each}{priced}, over the output tokens of a level's window; idle "
        "hours are not in it"
    )


def _sent(result: LoadResult) -> list[str]:
    """What must be known of the requests: which of their tokens a prefix cache can answer, and what was left out."""
    workload, sent = result.workload, sum(len(level.records) for level in result.levels)
    shared, prompts = workload.get("shared_prefix", 0), workload.get("prompts")
    lines = []
    if shared:
        unit = "words" if result.target.get("prompts_of") == "words" else "tokens"
        lines.append(f"all prompts begin with the same {shared:,} {unit}, whose work a prefix cache saves")
    if share := result.target.get("trace_blocks_shared", workload.get("trace_blocks_shared")):
        lines.append(
            f"{share:.0%} of the prompts' blocks came before, as the trace has it: a prefix cache saves their work"
        )
    too_long = result.target.get("too_long", 0)
    if prompts and sent > (whole := prompts - too_long):
        lines.append(
            f"{counted(whole, 'prompt')} of a file made {sent:,} requests: a prefix cache may have saved their work"
        )
    if left_out := workload.get("trace_left_out"):
        lines.append(f"{counted(left_out, 'request')} of the trace without a prompt or an answer were not sent")
    if too_long:
        lines.append(f"{counted(too_long, 'request')} of the file longer than the model's context were not sent")
    if workload.get("burstiness", 1.0) != 1.0:
        lines.append(f"the gaps between requests are gamma distributed, of shape {workload['burstiness']:g}")
    return lines


def _served(result: LoadResult) -> list[str]:
    """What must be known of a server of OpenAI's API: what counts tokens, and whether lengths are exact."""
    target = result.target
    if "tokens_counted_by" not in target:
        return []
    counts = token_counts.counted_by(record for level in result.levels for record in level.records)
    by = ", ".join(f"{token_counts.WORDS[who]} ({number:,} answers)" for who, number in counts.most_common())
    requested = target["lengths"]
    lengths = f"requested with {requested}" if requested != token_counts.AS_THEY_COME else "those that came"
    other = "the same request alone gets other answers" if {"temperature", "top_k"} & set(target["fields"]) else SAMPLED
    elsewhere = "; the server's machine is not known" if "url" in target else ""
    return [
        f"tokens counted by {by or NOT_MEASURED}; lengths are {lengths}{elsewhere}",
        *([] if target["answers_repeat"] else [f"{other}: they are not compared"]),
    ]


def _reason(stopped: str) -> str:
    """The level and why it was the last; the words of a rule that is no longer used are left out."""
    level, _, reason = stopped.partition(": ")
    return f"{level}, which an earlier version judged not sustained" if reason.startswith("saturated") else stopped


def bracket_words(levels: Sequence[Level]) -> str:
    """The bracket of the capacity, as rates that were offered, and the confidence of each of its ends."""
    found = bracket(levels)
    ends = (("at least", found.sustained), ("less than", found.not_sustained))
    known = " and ".join(f"{words} {rate:.3g} requests/s" for words, rate in ends if rate is not None)
    return f"{known}, as offered (confidence of each end: {CONFIDENCE:.1%})" if known else NOT_MEASURED


def overview(items: Sequence[Item[LoadResult]], compact: bool) -> list[Block]:
    """The curves of each model's load tests in one chart, then the levels of each test."""
    models = dict.fromkeys(model_title(item.content) for item in items)
    groups = [[item for item in items if model_title(item.content) == model] for model in models]
    facets = frozenset(facets_of(item.content) for item in items)
    legend = Section("What the columns are", [Text(LEGEND)], folded=True, facets=facets)
    return [*(figure for group in groups for figure in _figures(group)), *map(_section, items), legend]


def _figures(items: Sequence[Item[LoadResult]]) -> list[Figure]:
    """The charts of one model's load tests, those that they have points for."""
    first, contents = items[0].content, [item.content for item in items]
    drawn = {name: chart(model_title(first), contents) for name, chart in charts.CHARTS.items()}
    return [
        Figure(
            chart,
            figure_name(model_name(first), first.scenario["weights"], name),
            chart.title,
            tuple(item.path for item in items),
        )
        for name, chart in drawn.items()
        if chart
    ]


def _section(item: Item[LoadResult]) -> Section:
    result = item.content
    levels, doubts = rows(result), _doubts(result)
    measured = origin(result.environment, result.scenario["device"], result.started_at)
    if "url" in result.target:
        measured = f"The load generator's machine, not the server's. {measured}"
    facets = frozenset({facets_of(result)})
    others = [_without_percentiles(row) for row in levels]
    blocks: list[Block] = [
        *map(Text, unfinished(result)),
        Text(result.target["service"], link=Link("JSON", item.path)),
        *map(Text, conclusions(result)),
        Table(_shown(levels), f"Load test of {title(result)}", [facets] * len(levels)),
        *map(Text, _missing([row for row in levels if row.measured])),
        *(Text(f"{level}: {text}") for level, text in doubts.items()),
        Section("All percentiles", [Table(_latencies(levels), "All percentiles")], folded=True),
        Section("All other figures", [Table(_without_empty_columns(others), "All other figures")], folded=True),
        Section("Machine and versions", [Text(measured)], folded=True, documented=True),
        Section("Environment", [Facts(environment_facts(result.environment.facts))], folded=True),
    ]
    return Section(_heading(result), blocks, facets=facets)


def _heading(result: LoadResult) -> str:
    """What was loaded, and by what its levels differ where they all differ by one thing."""
    kinds = [words for kind, words in charts.KINDS.items() if any(getattr(level, kind) for level in result.levels)]
    return f"{title(result)}, {kinds[0]}" if len(kinds) == 1 else title(result)


def _latencies(levels: Sequence[LevelRow]) -> list[dict[str, str]]:
    """A row a level and latency, with every percentile, or how many independent requests it lacks."""
    return [
        {
            "load": row.level.name,
            "latency": latency_title(name),
            **{f"{percentile_title(p)}, ms": percentile_text(found.get(p)) for p in PERCENTILES},
        }
        for row in levels
        for name, found in row.statistics.latencies.items()
    ]


def _without_percentiles(row: LevelRow) -> dict[str, str]:
    """A level's cells of the metrics that are no latency, and not in the table of levels; its name first."""
    chosen = (m for m in METRICS if m.place == "detail" and not m.group and m.name != "remarks")
    return {"load": row.level.name, **{m.title: m.cell(row) for m in chosen}}
