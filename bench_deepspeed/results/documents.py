"""`bench.sh report`: the published tables and figures, rendered from the published evidence.

A page holds blocks between markers, such as `<!-- run: llama -->` and `<!-- /run -->`, each on a line of its own. What
stands between them is rewritten here, or with --check compared: no number in a page is typed by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common.columns import SAMPLES
from bench_deepspeed.benchmarks.common.kind import Item, Kind
from bench_deepspeed.core import capabilities
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.core.json_files import write_atomically
from bench_deepspeed.core.paths import DOCS, RESULTS, ROOT
from bench_deepspeed.measure.records import Result
from bench_deepspeed.model import catalog
from bench_deepspeed.report import markdown, svg
from bench_deepspeed.report.blocks import Block, Figure, Section, Text
from bench_deepspeed.report.tables import grid
from bench_deepspeed.simulations import host_speed
from bench_deepspeed.simulations import view as simulations

from . import files, flat, glossary, occasions, precisions_page
from .captures import Captures

BLOCK = re.compile(r"^<!-- (?P<what>[a-z]+): (?P<subject>\S+) -->\n(?P<body>.*?)^<!-- /(?P=what) -->$", re.M | re.S)
MARKER = re.compile(r"^<!-- (/[a-z]+|[a-z]+: \S+) -->$", re.M)
EVERYTHING = "all"
NOTHING = "Not measured yet."


def run(options, pages: list[Path] | None = None, results: Path = RESULTS) -> int:
    """Rewrite the blocks of the pages, or with --check only compare them. Returns the exit code.

    Raises BenchError for evidence that must not be published, for a malformed marker, and, with --check, for a page
    that differs from its evidence.
    """
    pages = pages or [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    site = Site(results)
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    rendered = {page: site.render(text, page) for page, text in texts.items()}
    stale = [page for page in pages if rendered[page] != texts[page]]
    drawings = [svg.Drawing(site.file_of(figure), figure) for figure in site.figures()]
    stale += svg.stale(drawings)
    if not options.check:
        svg.draw(drawings)
        for page in set(stale) & set(pages):
            _rewrite(page, rendered[page])
    elif stale:
        raise BenchError(
            f"{', '.join(map(_shown, stale))}: a table or figure differs from {_shown(results)}; run `bench.sh report`"
        )
    print(f"{', '.join(map(_shown, pages))} agree with {_shown(results)}")
    return 0


def _rewrite(page: Path, text: str) -> None:
    try:
        write_atomically(page, text)
    except OSError as error:
        raise MachineError(f"cannot write {_shown(page)}: {error.strerror}") from error
    print(f"rewrote {_shown(page)}")


class Site:
    """The published evidence, read once, and what each block of a page shows of it."""

    def __init__(self, results: Path):
        self._results = results
        self._items = {kind.name: _publishable(kind, results) for kind in registry.kinds()}
        runs = [(item.path, item.content) for item in self._items["run"]]
        self._runs = runs + [(path, Result.load(path)) for path in sorted((results / "occasions").glob("*.json"))]
        """Published runs, and those that only show how one occasion differs from the next."""
        self._others: dict[str, tuple[set[str], Callable[[str], str]]] = {
            "simulation": (set(simulations.SIMULATIONS), self._simulation),
            "columns": ({*registry.KINDS, "samples"}, _columns),
            "glossary": (set(registry.KINDS), glossary.table),
            "hosts": ({EVERYTHING}, self._hosts),
            "precisions": (set(capabilities.DEVICES), precisions_page.tables),
        }
        self._captures = Captures((item for items in self._items.values() for item in items), results)

    def render(self, text: str, page: Path) -> str:
        """The page with every block as the evidence has it. Raises BenchError."""
        if len(MARKER.findall(text)) != 2 * len(BLOCK.findall(text)):
            raise BenchError(f"{_shown(page)}: a marker lacks its other end, or is not closed by its own kind")
        return BLOCK.sub(partial(self._block, page), text)

    def _block(self, page: Path, match: re.Match) -> str:
        what, subject = match["what"], match["subject"]
        if what in self._items and subject in {EVERYTHING, *catalog.names()}:
            body = self._overview(what, subject, page)
        elif what == "occasions" and subject in {EVERYTHING, *catalog.names()}:
            runs = [run for run in self._runs if subject in {EVERYTHING, run[1].scenario.model}]
            body = markdown.render(occasions.blocks(runs), page, self.file_of) or NOTHING
        elif what in self._others and subject in self._others[what][0]:
            body = self._others[what][1](subject)
        elif what == "terminal" and (text := self._captures.find(subject)) is not None:
            body = f"```text\n{text}\n```"
        else:
            raise BenchError(f"{_shown(page)}: there is no block '{what}: {subject}'")
        return f"<!-- {what}: {subject} -->\n{body}\n<!-- /{what} -->"

    def _overview(self, name: str, subject: str, page: Path) -> str:
        items, kind = self._of_model(name, subject), registry.kind(name)
        if items:
            blocks = kind.overview(items, subject == EVERYTHING)
        else:
            blocks = [Text(NOTHING), *kind.published_elsewhere(subject)]
        return markdown.render(blocks, page, self.file_of)

    def _of_model(self, name: str, model: str) -> list[Item]:
        return [item for item in self._items[name] if model in {EVERYTHING, *item.subject.models}]

    def figures(self) -> Iterator[Figure]:
        """Every figure of the overviews of each model. Raises BenchError where two would be one file."""
        names: set[str] = set()
        for figure in self._each_figure():
            if figure.name in names:
                raise BenchError(f"two figures are named {figure.name}: one would replace the other")
            names.add(figure.name)
            yield figure

    def _each_figure(self) -> Iterator[Figure]:
        for name in registry.KINDS:
            for model in sorted({model for item in self._items[name] for model in item.subject.models}):
                yield from _figures(registry.kind(name).overview(self._of_model(name, model), False))

    def file_of(self, figure: Figure) -> Path:
        """Where a published figure lies."""
        return self._results.parent / "figures" / f"{figure.name}.svg"

    def _hosts(self, _subject: str) -> str:
        """How far the host's speed explains the times of the runs that were kept for this."""
        read = [(path, result) for path, result in self._runs if host_speed.groups_of(result)]
        return grid([row for path, result in read for row in host_speed.rows(path.stem, result)]) or NOTHING

    def _simulation(self, subject: str) -> str:
        return simulations.table_of_file(self._results / "simulations", subject) or NOTHING


def _publishable(kind: Kind, results: Path) -> list[Item]:
    """The published files of a kind. Raises BenchError when one of them must not be published."""
    items = files.read(files.published_of(kind, results))
    for item in items:
        if item.kind is not kind:
            raise BenchError(f"{_shown(item.path)} is {item.kind.what}, and lies among others")
        if reason := kind.refusal(item.content):
            raise BenchError(f"{_shown(item.path)} cannot be published: {reason}")
    return items


def _figures(blocks: Sequence[Block]) -> Iterator[Figure]:
    for block in blocks:
        if isinstance(block, Figure):
            yield block
        elif isinstance(block, Section) and not block.folded:
            yield from _figures(block.blocks)


def _columns(subject: str) -> str:
    """What the columns of CSV and JSON lines mean, for one kind of file."""
    meanings = SAMPLES if subject == "samples" else flat.columns_of(registry.kind(subject))
    return grid([{"column": f"`{name}`", "meaning": meaning} for name, meaning in meanings.items()])


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
