"""The HTML page of any results: what is the fastest of each model, then a chapter for each kind that there is."""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import Item
from bench_deepspeed.report import html
from bench_deepspeed.report.blocks import Headline

from .files import by_kind


def render(items: Sequence[Item]) -> str:
    """The page, which fetches nothing. Raises MachineError where what draws it is not installed."""
    chapters = [html.Chapter(kind.name, kind.title, kind.overview(members, False)) for kind, members in by_kind(items)]
    files = [html.File(item.path, item.name, item.kind.name, item.sha256) for item in items]
    return html.render(chapters, files, headlines(items))


def headlines(items: Sequence[Item]) -> list[Headline]:
    """Of each model those whose ratio has an interval, by whatever kind of result; without one, the first that is.

    Models with an interval come first, and of a model its fastest configuration.
    """
    by_model: dict[str, list[Headline]] = {}
    for kind, members in by_kind(items):
        for headline in kind.page_headlines(members):
            by_model.setdefault(headline.model, []).append(headline)
    shown = [[one for one in found if one.has_interval] or found[:1] for found in by_model.values()]
    shown.sort(key=lambda of_model: not of_model[0].has_interval)
    return [headline for of_model in shown for headline in sorted(of_model, key=lambda one: -one.tokens_per_s)]
