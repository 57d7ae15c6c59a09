"""Tables as Markdown."""

from __future__ import annotations


def table(rows: list[dict[str, str]]) -> str:
    """Rows as a Markdown table: column title → cell."""
    from tabulate import tabulate

    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
