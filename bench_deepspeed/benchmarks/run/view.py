"""The terminal: progress on stderr, the table on stdout."""

from __future__ import annotations

from collections.abc import Iterator

from tabulate import tabulate

from bench_deepspeed.measure import warnings as checks
from bench_deepspeed.measure.records import Result
from bench_deepspeed.report.tables import table as as_table

from .rows import LEGEND, details, figures, interval, is_random, mean_std


def table(results: list[Result]) -> str:
    """The result table, one row a result, and what its cells say."""
    rows = [figures(result) for result in results]
    return f"{as_table(rows)}\n\n{LEGEND}"


def report(result: Result) -> str:
    """A finished run: its table, what the speed is made of, and what must be known beside it."""
    below = tabulate(details(result).items(), tablefmt="plain", disable_numparse=True)
    return "\n\n".join(filter(None, [table([result]), below, "\n".join([*remarks(result), *warnings(result)])]))


def log_lines(result: Result) -> Iterator[str]:
    """A finished run as its log ends: its figures, its speed, and what must be known beside it."""
    for title, figure in details(result).items():
        yield f"{title}: {figure}"
    scenario, n = result.scenario, len(result.valid_samples)
    yield (
        f"result {scenario.model} {scenario.engine} {scenario.device} {scenario.precision}: "
        f"{mean_std(result)} tokens/s (mean ± sample std, n = {n}), 95% interval {interval(result)}"
    )
    yield from [*remarks(result), *warnings(result)]


def title(result: Result) -> str:
    """What was measured, in one line."""
    row = figures(result)
    return ", ".join(row[column] for column in ("model", "engine", "precision", "device"))


def remarks(result: Result) -> list[str]:
    """What must stand beside the number."""
    lines = []
    if is_random(result):
        lines.append("random weights: the speed of this shape, not of a model that answers anything")
    if result.scenario.engine == "fake":
        lines.append("the fake engine: not a measurement of anything")
    if result.void_count:
        lines.append(f"{result.void_count} repetitions void (another number of tokens), not averaged in")
    return lines


def warnings(result: Result) -> list[str]:
    """Each warning with its figures and its remedy."""
    return [f"warning {found.code}: {found.text}; {found.remedy}" for found in checks.check(result)]
