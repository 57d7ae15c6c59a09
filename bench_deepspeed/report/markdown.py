"""Blocks as Markdown, for documents."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from bench_deepspeed.core.text import harmless, sentence

from .blocks import Block, Cell, Facts, Figure, Link, Quoted, Section, Table, Text, Warnings
from .tables import grid

FigureFile = Callable[[Figure], Path | None]
"""Where a figure's file lies; None where there is none to link to."""


def render(blocks: Iterable[Block], page: Path, figure_file: FigureFile) -> str:
    """The blocks, a blank line between two; links lead from `page`. Of folded sections only documented ones are shown.

    A text's own HTML is shown as it is written, and its control characters are spelled out.
    """
    return "\n\n".join(filter(None, (_block(block, page, figure_file) for block in blocks)))


def _block(block: Block, page: Path, figure_file: FigureFile) -> str:
    if isinstance(block, Section):
        return _section(block, page, figure_file)
    if isinstance(block, Figure):
        path = figure_file(block)
        return _escaped(f"![{block.title}]({link(path, page)})") if path else ""
    return _escaped(_plain(block, page))


def _section(section: Section, page: Path, figure_file: FigureFile) -> str:
    """Its blocks below its title; a folded one in an element that GitHub folds."""
    title, body = _escaped(section.title), render(section.blocks, page, figure_file)
    if not section.folded:
        return f"**{title}**\n\n{body}"
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>" if section.documented else ""


def _escaped(text: str) -> str:
    return harmless(text.replace("<", "&lt;"))


def _plain(block: Text | Facts | Warnings | Table, page: Path) -> str:
    if isinstance(block, Text):
        text = f"**{sentence(block.text)}**" if block.strong else sentence(block.text)
        return f"{text} {_cell(block.link, page)}" if block.link else text
    if isinstance(block, Facts):
        return grid([{block.title: name, " ": value} for name, value in block.facts.items()])
    if isinstance(block, Warnings):
        return "\n\n".join(map(sentence, block.lines))
    return grid([{title: _cell(cell, page) for title, cell in row.items()} for row in block.rows])


def _cell(cell: Cell, page: Path) -> str:
    if isinstance(cell, Link):
        return f"[{cell.text}]({link(cell.path, page)}){cell.after}"
    if isinstance(cell, Quoted):
        return re.sub(r"([\\`*_&~[])", r"\\\1", " ".join(cell.text.split()))
    return cell


def link(path: Path, page: Path) -> str:
    """The relative address of a file, from a page."""
    return Path(os.path.relpath(path, page.parent)).as_posix()
