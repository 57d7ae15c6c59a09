"""A self-test as blocks."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import Item, facets
from bench_deepspeed.benchmarks.common.provenance import origin
from bench_deepspeed.core.text import model_title
from bench_deepspeed.measure import metric
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.model import catalog
from bench_deepspeed.report.blocks import Block, Facets, Link, Section, Table, Text

from .records import ClockComparison, SelfTest

RATIO = "tokens/s, suite ∕ bare loop"


def _interval(comparison: ClockComparison) -> str:
    return "" if comparison.low is None else f"{comparison.low:.4f} … {comparison.high:.4f}"


def _excess(comparison: ClockComparison) -> str:
    if comparison.asked_s is None:
        return ""
    excess = statistics.median(comparison.harness_s) - comparison.asked_s
    return f"{excess * 1000:+.3f} ms, least {(min(comparison.harness_s) - comparison.asked_s) * 1000:+.3f} ms"


def _median_s(comparison: ClockComparison) -> float:
    return statistics.median(comparison.harness_s)


METRICS: tuple[Metric[ClockComparison], ...] = (
    Metric("timed", "timed", "", "what was timed both ways", lambda c: c.title, place="summary"),
    Metric("median_s", "median", "s", "median time by the suite's clock", _median_s, place="summary"),
    Metric("known_s", "known", "s", "the time that the fake engine takes", lambda c: c.asked_s, place="data"),
    Metric(
        "excess",
        "above the known",
        "",
        "what the suite's clock shows above it",
        _excess,
        place="summary",
        in_files=False,
        shown=_excess,
    ),
    Metric(
        "ratio",
        RATIO,
        "",
        "tokens/s by the suite over those of a bare loop: the median",
        lambda c: c.ratio,
        place="summary",
        shown=lambda c: f"{c.ratio:.4f}",
    ),
    Metric("ratio_low", "", "", "lower end of its interval", lambda c: c.low, place="data"),
    Metric("ratio_high", "", "", "upper end of its interval", lambda c: c.high, place="data"),
    Metric("interval", "interval", "", "of that ratio", _interval, place="summary", in_files=False, shown=_interval),
    Metric("n", "n", "count", "generations timed by the suite", lambda c: len(c.harness_s), place="summary"),
    Metric("verdict", "verdict", "", "`pass`, `fail` or `inconclusive`", lambda c: c.outcome, place="summary"),
)


def table(comparisons: Sequence[ClockComparison]) -> Table:
    """One row a kind of generation."""
    return Table([metric.cells(METRICS, comparison, "summary") for comparison in comparisons], "Self-test")


def view(test: SelfTest) -> list[Block]:
    """How many parts pass, how the suite's speeds compare with a bare loop's, and the times themselves."""
    passed = sum(comparison.verdict == "pass" for comparison in test.comparisons)
    cells = [metric.cells(METRICS, comparison, "summary") for comparison in test.comparisons]
    times, ratios = ("timed", "median", "above the known"), ("timed", RATIO, "interval", "n", "verdict")
    return [
        Text(f"{passed} of {len(cells)} parts pass: {RATIO}, which is 1 where the suite adds nothing", strong=True),
        *(
            Table([{"ratio" if title == RATIO else title: row[title] for title in titles} for row in cells], label)
            for titles, label in ((ratios, "Ratios"), (times, "Times"))
            if cells
        ),
    ]


def overview(items: Sequence[Item[SelfTest]], compact: bool) -> list[Block]:
    """Each self-test, and what it was run on."""
    return [_section(item) for item in items]


def _section(item: Item[SelfTest]) -> Section:
    test = item.content
    measured = origin(test.environment, test.scenario["device"], test.started_at)
    scenario = test.scenario
    model = model_title(scenario["model"], scenario["weights"], scenario["engine"])
    title = f"Self-test with {scenario['engine']}, {model}"
    blocks = [table(test.comparisons), Text(measured, link=Link("JSON", item.path))]
    return Section(title, blocks, facets=_facets(item))


def _facets(item: Item[SelfTest]) -> frozenset[Facets]:
    """What the page's filter knows a self-test by: what it was run with."""
    scenario = item.content.scenario
    title = model_title(catalog.load(scenario["model"]).title, scenario["weights"], scenario["engine"])
    return facets(title, scenario["engine"], item.machine, scenario["precision"])
