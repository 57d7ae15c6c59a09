"""Comparisons (`bench.sh ab`) on the HTML page: all ratios in one figure, then each with what it is made of."""

from __future__ import annotations

import textwrap

from bench_deepspeed.benchmarks.registry import unfinished
from bench_deepspeed.report import charts_plotly
from bench_deepspeed.report.html_page import Page, environment, findings, table
from bench_deepspeed.results.files import Item

from . import estimate, warnings
from . import view as ab_report
from .records import AbResult

LONGEST = 48
"""Characters of a configuration beside a figure; all of it stands in the table."""


def comparisons(items: list[Item], page: Page) -> dict:
    """B ∕ A of all comparisons in one figure, and of each the verdict, both sides, pairs, warnings and rounds."""
    parts = [_comparison(item, page) for item in items]
    lines = [
        line
        for number, (item, part) in enumerate(zip(items, parts, strict=True), 1)
        if (line := _line(f"comparison-{number}", item, part))
    ]
    says = "B over A of each comparison: " + "; ".join(f"{line.label}: {line.value} {line.aside}" for line in lines)
    figure = charts_plotly.ratios(lines, "times A's tokens/s") if lines else None
    return {"plot": page.plot("ab", figure, says), "legend": ab_report.LEGEND, "parts": parts}


def _comparison(item: Item, page: Page) -> dict:
    result: AbResult = item.content
    keys = sorted({_key(item, side, page) for side in result.sides})
    return {
        "title": _title(result),
        "keys": keys,
        "verdict": ab_report.verdict(result),
        "notes": [*unfinished(result), ab_report.constants(result), *ab_report.remarks(result)],
        "sides": _table(keys, ab_report.side_rows(result)),
        "pairs": _table(keys, ab_report.pair_rows(result)),
        "rounds": _table(keys, _rounds(result)),
        "findings": findings(warnings.check(result)),
        "asked": _asked(result),
        "environment": environment(_facts(result)),
        "evidence": item,
    }


def _key(item: Item, side: str, page: Page) -> int:
    of = item.content.sides[side]
    return page.key(ab_report.model_title(of), of.scenario.engine, item.machine, of.scenario.precision)


def _title(result: AbResult) -> str:
    engines = " against ".join(f"{of.scenario.engine}, {of.scenario.precision}" for of in result.sides.values())
    return f"{ab_report.models(result)}: {engines}"


def _table(keys: list[int], rows: list[dict[str, str]]) -> dict:
    """A comparison is shown whole or not at all: one side alone says nothing."""
    return table([(keys, row) for row in rows])


def _line(name: str, item: Item, part: dict) -> charts_plotly.Line | None:
    """Its row in the figure; None where no round is valid."""
    result: AbResult = item.content
    logs = estimate.log_ratios(result)
    found = estimate.ratio(logs)
    if found is None:
        return None
    sides = [f"{side}: {_short(ab_report.configuration(result, side))}" for side in result.sides]
    pairs = [(number, estimate.ratio_within(pair), len(pair)) for number, pair in enumerate(logs, 1) if pair]
    value, aside = found.shown.split(" ", 1)
    return charts_plotly.Line(
        keys=part["keys"],
        name=name,
        label=ab_report.models(result),
        note=" · ".join([*sides, item.machine]),
        value=f"B ∕ A {value}",
        aside=aside,
        mean=found.value,
        samples=[(one.value, 0, f"pair {number} of {len(logs)}: {one.shown}, {n} rounds") for number, one, n in pairs],
        low=found.low,
        high=found.high,
        warnings=", ".join(finding["code"] for finding in part["findings"]),
    )


def _short(configuration: str) -> str:
    return textwrap.shorten(configuration, LONGEST, placeholder=" …")


def _rounds(result: AbResult) -> list[dict[str, str]]:
    """Column title → cell of each round, as it was timed."""
    found = []
    for number, (a, b, rounds) in enumerate(zip(result.a.runs, result.b.runs, result.rounds, strict=False), 1):
        for index, (of_a, of_b, one) in enumerate(zip(a.samples, b.samples, rounds, strict=False), 1):
            void = of_a.is_void(result.a.scenario) or of_b.is_void(result.b.scenario)
            row = {"pair": str(number), "round": str(index), "first": one.order[0]}
            row |= {f"{side} seconds": f"{sample.seconds:.6f}" for side, sample in (("A", of_a), ("B", of_b))}
            row |= {f"{side} tokens/s": f"{sample.tokens_per_s:.3f}" for side, sample in (("A", of_a), ("B", of_b))}
            found.append({**row, "counted": "no: void" if void else "yes"})
    return found


def _asked(result: AbResult) -> dict[str, str]:
    scenario = result.a.scenario
    sides = {side: " ".join(f"{key}={value}" for key, value in asked.items()) for side, asked in result.asked.items()}
    facts = {"prompt": scenario.prompt, "seed": str(scenario.seed), "started": result.started_at}
    return {**sides, **facts, "status": result.status, "stopped": result.stopped or "not by itself"}


def _facts(result: AbResult) -> dict:
    """The environment: once what both sides have alike, else that of each."""
    a, b = result.a.environment, result.b.environment
    found = {}
    for name in {**a, **b}:
        alike = name in a and name in b and a[name] == b[name]
        found |= {name: a[name]} if alike else {f"{name} of A": a.get(name), f"{name} of B": b.get(name)}
    return found
