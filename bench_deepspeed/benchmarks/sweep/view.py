"""A sweep as blocks: a column only for what varies, and what does not is shown once above the table."""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import Item, machine_of, unfinished
from bench_deepspeed.benchmarks.common.provenance import environment_facts, origin
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped
from bench_deepspeed.measure import metric
from bench_deepspeed.measure.warnings import INTERVAL_LIMIT, MIN_PROCESSES, REMEDIES
from bench_deepspeed.report import terminal
from bench_deepspeed.report.blocks import Block, Facts, Figure, Link, Section, Table, Text, Warnings

from . import charts, matrix, plan, scaling
from .labels import constants, facets_of, model_title, varying
from .metrics import COMBINED, MACHINE, METRICS, ScenarioRow, warnings_of
from .records import SweepResult, SweepScenario

LEGEND = (
    "batch: sequences at once; prompt and new tokens: of each sequence; prefill: mean time until each has its first "
    "token; decode tokens/s: of all sequences after that, ± half the width of its 95% interval, or [the ends of a wide "
    "one], over the processes, or, of one process, over its rounds, which says nothing of another process; of the "
    "limit: its share of what memory and matrix products allow; tokens/s: of all sequences, prefill included"
)
WIDTHS = {"prefill": 13, "decode tokens/s": 22, "tokens/s": 12}
"""Columns of metrics whose cells are wider than their titles, when rows are shown one by one."""
OPTIONAL = ("of the limit", "tokens/s")
"""Columns that a narrow terminal does not show, the first one first."""
MEANINGS = {
    "few_samples": (f"fewer than {MIN_PROCESSES} processes", f"`--processes {MIN_PROCESSES}` or more"),
    "wide_interval": (f"± more than {INTERVAL_LIMIT:.0%}", "more `--processes`"),
    "not_checked": ("the answers were not compared with the model's logits", "measure it again with this version"),
    **{code: (meaning, REMEDIES[code]) for code, meaning in MACHINE.items()},
}
"""Code → meaning and remedy."""
TOGETHER = 4
"""So many settings that vary share one column, where rows are shown one by one."""


def row(sweep: SweepResult, scenario: SweepScenario) -> dict[str, str]:
    """Column → cell. What was not measured has its status in the first column of metrics."""
    scenario_row = ScenarioRow(sweep, scenario)
    settings = {setting.title: setting.cell(scenario_row) for setting in COMBINED if setting.name in varying(sweep)}
    cells = metric.cells(METRICS, scenario_row, "summary")
    if max(sweep.settings.max_tokens) == 1:
        del cells["decode tokens/s"]
    if not sweep.limits or "decode tokens/s" not in cells:
        del cells["of the limit"]
    if scenario.status != "complete":
        cells = {title: scenario.status if number == 0 else "" for number, title in enumerate(cells)}
    return {**settings, **cells}


def view(sweep: SweepResult) -> list[Block]:
    """The whole sweep."""
    table = Table([row(sweep, scenario) for scenario in sweep.scenarios], "Scenarios", optional=("warnings", *OPTIONAL))
    return [Text(constants(sweep)), table, *after(sweep)]


def overview(items: Sequence[Item[SweepResult]], compact: bool) -> list[Block]:
    """Each sweep: its table and its charts."""
    return [_section(item, compact) for item in items]


def _section(item: Item[SweepResult], compact: bool) -> Section:
    sweep = item.content
    row_facets = [frozenset({facets_of(sweep, scenario)}) for scenario in sweep.scenarios]
    table = Table([row(sweep, scenario) for scenario in sweep.scenarios], f"Sweep of {model_title(sweep)}", row_facets)
    measured = origin(sweep.environment, sweep.settings.device, sweep.started_at[0])
    notes = [LEGEND, *plan.order_text(sweep), *reasons(sweep)]
    blocks: list[Block] = [
        *map(Text, unfinished(sweep)),
        Text(constants(sweep), link=Link("JSON", item.path)),
        *scaling.tables(sweep),
        *matrix.tables(sweep),
        *([] if compact else figures(item)),
        *doubts(sweep),
        Section("Every point", [table, *map(Text, notes)], folded=True, documented=True),
        Section("Machine and versions", [Text(measured)], folded=True, documented=True),
        Section("Environment", [Facts(environment_facts(sweep.environment.facts))], folded=True),
    ]
    title = f"{model_title(sweep)}, {machine_of(sweep.environment, sweep.settings.device)}"
    return Section(title, blocks, facets=frozenset().union(*row_facets))


def figures(item: Item[SweepResult]) -> list[Figure]:
    """The charts that this sweep has points for."""
    drawn = charts.drawn(item.content)
    return [Figure(chart, f"{item.path.stem}-{name}", chart.title, (item.path,)) for name, chart in drawn.items()]


def head(sweep: SweepResult) -> list[str]:
    """The lines above the rows."""
    widths = _widths(sweep)
    left_out = [title for title in _live(sweep, sweep.scenarios[0]) if title not in widths]
    above = [constants(sweep)]
    if left_out:
        above.append(
            f"not shown in {columns()} columns: {', '.join(left_out)}; all is in `bench.sh report` and its CSV"
        )
    return [*(wrapped(text, columns()) for text in above), "", *terminal.table_head(widths)]


def line(sweep: SweepResult, scenario: SweepScenario) -> str:
    """One row, as wide as every other whatever they hold, so that it can be shown before the next is known."""
    widths, cells = _widths(sweep), _live(sweep, scenario)
    if scenario.status != "complete":
        cells[next(title for title in widths if title in WIDTHS)] = scenario.status
    return terminal.table_row(cells, widths)


def after(sweep: SweepResult) -> list[Block]:
    """What stands below the rows."""
    texts = [LEGEND, *plan.order_text(sweep)]
    found = [*scaling.tables(sweep), *matrix.tables(sweep)]
    return [*found, *map(Text, texts), *doubts(sweep), *map(Text, reasons(sweep))]


def _live(sweep: SweepResult, scenario: SweepScenario) -> dict[str, str]:
    """Column → cell of a row that is shown by itself; its warnings, of any length, are shown below all rows."""
    cells = row(sweep, scenario)
    del cells["warnings"]
    settings = [setting.title for setting in COMBINED if setting.title in cells]
    if len(settings) < TOGETHER:
        return cells
    together = {", ".join(settings): ", ".join(cells[title] for title in settings)}
    return {**together, **{title: cell for title, cell in cells.items() if title not in settings}}


def _widths(sweep: SweepResult) -> dict[str, int]:
    """Column → its width: those columns that fit, without the first of `OPTIONAL` where not all do.

    The cells of metrics are not known yet.
    """
    known = [_live(sweep, scenario) for scenario in sweep.scenarios]
    metric_titles = [m.title for m in METRICS if m.place == "summary"]
    widths = {
        title: max(len(title), WIDTHS.get(title, 0) if title in metric_titles else max(len(c[title]) for c in known))
        for title in known[0]
    }
    for title in (*OPTIONAL, "prefill"):
        if terminal.table_width(widths) > columns():
            widths.pop(title, None)
    return widths


def doubts(sweep: SweepResult) -> list[Warnings]:
    """The warnings, each once, with the scenarios that it is of; no block where there are none."""
    titles: dict[str, list[str]] = {}
    for scenario in sweep.scenarios:
        for code in warnings_of(ScenarioRow(sweep, scenario)):
            titles.setdefault(code, []).append(scenario.title())
    complete = [scenario.title() for scenario in sweep.scenarios if scenario.status == "complete"]
    findings = []
    for code, some in titles.items():
        meaning, remedy = MEANINGS[code]
        findings.append((code, f"{meaning}: {_which(some, complete)}", remedy))
    return [Warnings(findings)] if findings else []


def _which(some: list[str], every: list[str]) -> str:
    """Those scenarios, or where they are most, the others."""
    others = [title for title in every if title not in some]
    if len(some) == 1 or len(some) <= len(others):
        return "; ".join(some)
    return f"all {len(every)} scenarios" + (f" but {'; '.join(others)}" if others else "")


def reasons(sweep: SweepResult) -> list[str]:
    """Why rows have no values: a line for each reason of an engine in a precision."""
    return plan.reason_lines([(s, s.status, s.reason) for s in sweep.scenarios])
