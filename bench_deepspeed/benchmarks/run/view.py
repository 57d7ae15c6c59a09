"""The terminal: progress on stderr, the table on stdout."""

from __future__ import annotations

import functools
import sys

from tabulate import tabulate
from tqdm import tqdm

from bench_deepspeed.measure import warnings as checks
from bench_deepspeed.measure.records import Result
from bench_deepspeed.report.tables import table as as_table

from .rows import LEGEND, details, figures, is_random


@functools.cache
def note_once(text: str) -> None:
    """A line on stderr that stays, whatever bar is drawn; a text that was written before is not written again."""
    tqdm.write(text, file=sys.stderr)


def table(results: list[Result]) -> str:
    """The result table, one row a result, and what its cells say."""
    rows = [figures(result) for result in results]
    return f"{as_table(rows)}\n\n{LEGEND}"


def report(result: Result) -> str:
    """A finished run: its table, what the speed is made of, and what must be known beside it."""
    below = tabulate(details(result).items(), tablefmt="plain", disable_numparse=True)
    return "\n\n".join(filter(None, [table([result]), below, "\n".join([*remarks(result), *warnings(result)])]))


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
