"""Rows as a table of plain text that is also Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def grid(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as a Markdown table: column title → cell. A `|` or a line break in a cell does not end it."""
    from tabulate import tabulate

    safe = [{title: _one_line(cell) for title, cell in row.items()} for row in rows]
    return tabulate(safe, headers="keys", tablefmt="github", disable_numparse=True)


def _one_line(cell: str) -> str:
    return " ".join(cell.split("\n")).replace("|", "\\|")
