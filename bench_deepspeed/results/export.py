"""`bench.sh report --format`: any results as Markdown, CSV, JSON lines, one HTML page, or as other tools write them."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from bench_deepspeed.benchmarks.common.kind import Item
from bench_deepspeed.core import streams
from bench_deepspeed.core.errors import DAMAGE, MachineError, UsageError, named
from bench_deepspeed.core.json_files import write_atomically
from bench_deepspeed.report import flat_files, markdown
from bench_deepspeed.report.blocks import Block, Figure
from bench_deepspeed.report.flat_files import FlatRow

from . import files, flat, foreign


def run(options) -> int:
    """Write the files, or all that is published, in a format. Returns the exit code.

    Raises UsageError for a file that is no result of this suite, and for an output that is a folder, ImpossibleError
    for a speed beyond the device's limits, and MachineError when the output cannot be written; a regular file is
    replaced in one step or not at all.
    """
    items = files.read(options.files or files.published())
    if not items:
        raise UsageError("nothing is published here: name FILEs")
    if options.gpu_hour is not None:
        items = [_priced(item, options.gpu_hour) for item in items]
    _of_each(items, lambda item: item.kind.require_possible(item.content))
    text = (WRITERS | foreign.WRITERS)[options.format](items, options)
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate cannot be written
    if options.output is None or _is_stdout(options.output):
        streams.write_exactly(text)
        return 0
    try:
        write_atomically(options.output, text)
    except IsADirectoryError as error:
        raise UsageError(f"--output {options.output} is a folder: name a file") from error
    except OSError as error:
        raise MachineError(f"cannot write {options.output}: {error.strerror}") from error
    print(f"wrote {options.output}")
    return 0


def _priced(item: Item, gpu_hour: float) -> Item:
    """An item with the price of an hour of a GPU, where its kind has a cost."""
    priced = item.kind.priced
    return dataclasses.replace(item, content=priced(item.content, gpu_hour)) if priced else item


def _is_stdout(path: Path) -> bool:
    """Whether a path is another name of standard output, such as /dev/stdout: nothing else must be printed there."""
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except OSError:
        return False  # a new file, or a path that cannot be written, which is reported below


def _of_each(items: Iterable[Item], function: Callable[[Item], object]) -> list:
    """The function's result for each. Raises UsageError for one whose content lacks what its kind has."""
    results = []
    for item in items:
        with named(item.path):
            results.append(function(item))
    return results


def _together(items: list[Item], function: Callable[[list[Item]], str]) -> str:
    """The function's result for all. Where that fails, each is tried alone: the message names the damaged one."""
    try:
        return function(items)
    except (*DAMAGE, UsageError):
        _of_each(items, lambda item: function([item]))
        raise


def overview(items: list[Item]) -> list[Block]:
    """The overviews of all kinds among the items, in the registry's order."""
    return [block for kind, members in files.by_kind(items) for block in kind.overview(members, False)]


def as_markdown(items: list[Item], options) -> str:
    """The tables as the documents have them."""
    page = (options.output or Path("report.md")).absolute()

    def file_of(figure: Figure) -> Path | None:
        """The file of a figure that the command wrote next to its JSON."""
        paths = [source.with_name(f"{figure.name.rpartition('-')[2]}.svg") for source in figure.sources]
        return next((path for path in paths if len(figure.sources) == 1 and path.is_file()), None)

    return _together(items, lambda chosen: markdown.render(overview(chosen), page, file_of) + "\n")


def _lines(items: list[Item], options) -> list[FlatRow]:
    lines_of = flat.samples_of if options.samples else flat.rows_of
    return [line for lines in _of_each(items, lines_of) for line in lines]


def as_csv(items: list[Item], options) -> str:
    """One line a row, or with --samples one a sample, under the columns of their kinds."""
    return flat_files.as_csv(_lines(items, options), flat.header(items, options.samples))


def as_jsonl(items: list[Item], options) -> str:
    """The same as JSON, each line with the columns of its kind."""
    return flat_files.as_jsonl(_lines(items, options))


def as_html(items: list[Item], options) -> str:
    """One page that fetches nothing."""
    from .page import render

    _of_each(items, flat.rows_of)  # names a damaged file
    return _together(items, render)


WRITERS = {"markdown": as_markdown, "csv": as_csv, "jsonl": as_jsonl, "html": as_html}
"""Those of every kind; `foreign` has those of some."""
