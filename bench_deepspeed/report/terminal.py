"""Blocks as plain text, for the terminal and the log: no line is wider than there are columns.

A table that is too wide loses the columns that it can do without, else rows that are too wide become lists of
properties.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Container, Iterable, Mapping, Sequence

from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped

from .blocks import Block, Cell, Facts, Figure, Link, Quoted, Table, Text, Warnings

FACTS_WIDTH = 76
"""Columns of names and values at most: a longer line of them is not read at a glance."""
INDENT = "  "

Row = Mapping[str, str]


def render(blocks: Iterable[Block], width: int | None = None) -> str:
    """The blocks, a blank line between two, in `width` columns; None: those of standard output.

    Figures, which are files, and folded sections are left out. A single word is never broken, however long.
    """
    width = columns() if width is None else width
    return "\n\n".join(filter(None, (_block(block, width) for block in blocks)))


def table_row(cells: Row, widths: Mapping[str, int]) -> str:
    """A row of a table whose columns have these widths."""
    return "| " + " | ".join(cells[title].ljust(width) for title, width in widths.items()) + " |"


def table_head(widths: Mapping[str, int]) -> list[str]:
    """The titles of a table, in several lines where one is wider than its column, and the line below them."""
    rule = "|" + "|".join("-" * (width + 2) for width in widths.values()) + "|"
    titles = [wrapped(title, width).splitlines() if title else [""] for title, width in widths.items()]
    lines = itertools.zip_longest(*titles, fillvalue="")
    return [*(table_row(dict(zip(widths, line, strict=True)), widths) for line in lines), rule]


def table_width(widths: Mapping[str, int]) -> int:
    """The width of a table, with what stands between its columns."""
    return sum(widths.values()) + 3 * len(widths) + 1


def _block(block: Block, width: int) -> str:
    if isinstance(block, Text):
        return wrapped(block.text, width)
    if isinstance(block, Facts):
        lines = _facts(block.facts, min(width, FACTS_WIDTH))
        return "\n".join([block.title, lines] if block.title else [lines])
    if isinstance(block, Warnings):
        return "\n".join(wrapped(line, width, INDENT) for line in block.lines)
    if isinstance(block, Table):
        titles = dict.fromkeys(title for row in block.rows for title in row)
        rows = [{title: _text(row.get(title, "")) for title in titles} for row in block.rows]
        return _table(rows, block.optional, width)
    if isinstance(block, Figure) or block.folded:
        return ""
    return render([Text(block.title), *block.blocks], width)


def _facts(facts: Row, width: int) -> str:
    """A line each; a value that is too long goes on below its beginning."""
    names = max(map(len, facts), default=0)
    hanging = " " * (names + 2)
    lines = []
    for name, value in facts.items():
        first, *more = wrapped(value, width - len(hanging)).splitlines() or [""]
        lines += [f"{name:<{names}}  {first}".rstrip(), *(hanging + line for line in more)]
    return "\n".join(lines)


def _table(rows: Sequence[Row], optional: Sequence[str], width: int) -> str:
    """All columns where they fit, if need be with titles of several lines.

    Else, in this order: what all rows share stands above the others, fewer columns are shown, rows become lists.
    """
    if _fits(rows, width):
        return _grid(rows, width)
    shared = _shared(rows)
    above = wrapped("; ".join(f"{title}: {cell}" for title, cell in shared.items()), width)
    rows = [_without(row, shared) for row in rows]
    for count in range(len(optional) + 1):
        fewer = [_without(row, optional[:count]) for row in rows]
        if _fits(fewer, width):
            left_out = [title for title in optional[:count] if title in rows[0]]
            below = wrapped(f"not shown in {width} columns: {', '.join(left_out)}", width) if left_out else ""
            return "\n\n".join(filter(None, [above, _grid(fewer, width), below]))
    narrow = _narrow(rows, width)
    lists = (_record(row, width) for row in rows if row not in narrow)
    return "\n\n".join(filter(None, [above, _grid(narrow, width), *lists]))


def _narrow(rows: Sequence[Row], width: int) -> list[Row]:
    """The rows that fit as a table, where those are most of them; else none."""
    narrow = sorted(rows, key=lambda row: sum(map(len, row.values())))
    while narrow and not _fits(narrow, width):
        narrow.pop()
    return [row for row in rows if row in narrow] if len(narrow) > len(rows) / 2 else []


def _widths(rows: Sequence[Row], width: int) -> dict[str, int]:
    """Column → its width: that of its title on one line where all these fit, else that of the title's longest word."""
    cells = {title: max(len(row[title]) for row in rows) for title in (rows[0] if rows else ())}
    one_line = {title: max(len(title), widest) for title, widest in cells.items()}
    if table_width(one_line) <= width:
        return one_line
    return {title: max(*map(len, title.split()), widest, 0) for title, widest in cells.items()}


def _fits(rows: Sequence[Row], width: int) -> bool:
    return table_width(_widths(rows, width)) <= width


def _grid(rows: Sequence[Row], width: int) -> str:
    widths = _widths(rows, width)
    return "\n".join([*table_head(widths), *(table_row(row, widths) for row in rows)]) if rows else ""


def _shared(rows: Sequence[Row]) -> Row:
    """The cells that are the same in all of several rows, but for those of the first column, which names the row."""
    if len(rows) < 2:
        return {}
    titles = list(itertools.islice(rows[0], 1, None))
    return {title: rows[0][title] for title in titles if len({row[title] for row in rows}) == 1}


def _without(row: Row, titles: Container[str]) -> Row:
    return {title: cell for title, cell in row.items() if title not in titles}


def _record(row: Row, width: int) -> str:
    """A row by itself: its first cell, and below it a line for each further cell that is not empty."""
    (title, name), *others = row.items()
    heading = wrapped(f"{title}: {name}" if title else name, width, INDENT)
    facts = _facts({name: cell for name, cell in others if cell}, width - len(INDENT))
    return "\n".join(filter(None, [heading, textwrap.indent(facts, INDENT)]))


def _text(cell: Cell) -> str:
    if isinstance(cell, Link):
        return cell.text + cell.after
    return " ".join((cell.text if isinstance(cell, Quoted) else cell).split())
