"""Blocks as plain text, for the terminal and the log."""

from __future__ import annotations

from collections.abc import Iterable

from .blocks import Block, Cell, Facts, Figure, Link, Quoted, Table, Text, Warnings
from .tables import grid


def render(blocks: Iterable[Block]) -> str:
    """The blocks, a blank line between two. Figures, which are files, and folded sections are left out."""
    return "\n\n".join(filter(None, map(_block, blocks)))


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return block.text
    if isinstance(block, Facts):
        return _facts(block)
    if isinstance(block, Warnings):
        return "\n".join(f"warning {code}: {text}; {remedy}" for code, text, remedy in block.findings)
    if isinstance(block, Table):
        return grid([{title: _text(cell) for title, cell in row.items()} for row in block.rows])
    if isinstance(block, Figure) or block.folded:
        return ""
    return render([Text(block.title), *block.blocks])


def _facts(block: Facts) -> str:
    width = max(map(len, block.facts), default=0)
    lines = [f"{name:<{width}}  {value}" for name, value in block.facts.items()]
    return "\n".join([*([block.title] if block.title else []), *lines])


def _text(cell: Cell) -> str:
    if isinstance(cell, Link):
        return cell.text + cell.after
    return " ".join(cell.text.split()) if isinstance(cell, Quoted) else cell
