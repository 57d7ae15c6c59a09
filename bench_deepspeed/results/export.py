"""`bench.sh report --format`: any results as Markdown, CSV, JSON lines, or one HTML page."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.sweep import charts
from bench_deepspeed.core.errors import DAMAGE, MachineError, UsageError, named
from bench_deepspeed.core.json_files import write_atomically
from bench_deepspeed.measure import plausibility
from bench_deepspeed.model import catalog
from bench_deepspeed.report import flat_files

from . import documents, files, flat
from .files import Item


def run(options) -> int:
    """Write the files, or all that is published, in a format. Returns the exit code.

    Raises UsageError for a file that is no result of this suite, and for an output that is a folder, ImpossibleError
    for a speed beyond the device's limits, and MachineError when the output cannot be written; a regular file is
    replaced in one step or not at all.
    """
    items = files.read(options.files or files.published())
    if not items:
        raise UsageError("nothing is published here: name FILEs")
    _of_each(items, _require_possible)
    text = FORMATS[options.format](items, options).encode("utf-8", "replace").decode()  # half a sign cannot be written
    if options.output is None or _is_stdout(options.output):
        sys.stdout.reconfigure(encoding="utf-8")  # as in a file, whatever a terminal can show
        sys.stdout.write(text)
        return 0
    try:
        write_atomically(options.output, text)
    except IsADirectoryError as error:
        raise UsageError(f"--output {options.output} is a folder: name a file") from error
    except OSError as error:
        raise MachineError(f"cannot write {options.output}: {error.strerror}") from error
    print(f"wrote {options.output}")
    return 0


def _is_stdout(path: Path) -> bool:
    """Whether a path is another name of standard output, such as /dev/stdout: nothing else must be printed there."""
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except OSError:
        return False  # a new file, or a path that writing will complain about


def _of_each(items: list[Item], of: Callable[[Item], object]) -> list:
    """What `of` makes of each. Raises UsageError for one whose content is not what every file of its kind has."""
    found = []
    for item in items:
        with named(item.path):
            found.append(of(item))
    return found


def _together(items: list[Item], of: Callable[[list[Item]], str]) -> str:
    """What `of` makes of all on one page. Where that fails, each is tried alone: the message names the damaged one."""
    try:
        return of(items)
    except DAMAGE:
        _of_each(items, lambda item: of([item]))
        raise


def _require_possible(item: Item) -> None:
    """Raises ImpossibleError for what the gate refuses, which is shown nowhere as a speed."""
    for result in registry.results_in(item.content):
        plausibility.check(result, catalog.load(result.scenario.model))


def as_markdown(items: list[Item], options) -> str:
    """The tables as the documents have them: the speeds of each model, then every other file."""
    page = (options.output or Path("report.md")).absolute()
    main = [item for item in items if item.kind == "result"]
    parts = [_together(main, lambda chosen: _speeds(chosen, page))] if main else []
    parts += _of_each([item for item in items if item.kind != "result"], lambda item: _part(item, page))
    return "\n\n".join(parts) + "\n"


def _speeds(items: list[Item], page: Path) -> str:
    """Tables of main results, of each model by itself."""
    found = sorted(
        (documents.Evidence(item.path.absolute(), item.content) for item in items), key=documents.Evidence.order
    )
    by_model = groupby(found, key=lambda one: one.result.scenario.model)
    return "\n\n".join(documents.speed_tables(list(chosen), page, compact=False) for _, chosen in by_model)


def _part(item: Item, page: Path) -> str:
    said = "\n\n".join(f"{text.capitalize()}." for text in registry.unfinished(item.content))
    part = PARTS[item.kind](item.path.absolute(), item.content, page)
    return f"{said}\n\n{part}" if said else part


PARTS = {
    "quality": documents.quality_part,
    "load": documents.load_part,
    "ab": documents.ab_part,
    "sweep": lambda path, sweep, page: documents.sweep_part(path, sweep, page, _drawn(path)),
}
"""Kind of file → its part of a document: (its path, what is in it, the page that links lead from) → Markdown."""


def _drawn(path: Path) -> dict[str, Path]:
    """The figures that a sweep left beside its JSON."""
    found = {title: path.with_name(f"{name}.svg") for name, title in charts.TITLES.items()}
    return {title: figure for title, figure in found.items() if figure.is_file()}


def _lines(items: list[Item], options) -> list[flat_files.Row]:
    of = flat.samples_of if options.samples else flat.of
    return [row for rows in _of_each(items, of) for row in rows]


def as_csv(items: list[Item], options) -> str:
    """One line a result, or with --samples one a sample, under the columns of the kinds that there are."""
    return flat_files.as_csv(_lines(items, options), flat.header(items, options.samples))


def as_jsonl(items: list[Item], options) -> str:
    """The same as JSON, each line with the columns of its kind."""
    return flat_files.as_jsonl(_lines(items, options))


def as_html(items: list[Item], options) -> str:
    """One page that fetches nothing."""
    from .html import render

    _of_each(items, flat.of)  # what is damaged is told by name
    return _together(items, render)


FORMATS = {"markdown": as_markdown, "csv": as_csv, "jsonl": as_jsonl, "html": as_html}
