"""The HTML page of any results: a chapter for each kind that there is."""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import Item
from bench_deepspeed.report import html

from .files import by_kind


def render(items: Sequence[Item]) -> str:
    """The page, which fetches nothing. Raises MachineError where what draws it is not installed."""
    chapters = [html.Chapter(kind.name, kind.title, kind.overview(members, False)) for kind, members in by_kind(items)]
    return html.render(chapters, [html.File(item.path, item.name, item.kind.name, item.sha256) for item in items])
