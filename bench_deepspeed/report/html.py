"""Blocks as one HTML page. It fetches nothing: all that it shows is in it.

What the filter acts on carries keys: indices into the page's facets.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path
from typing import Any, NamedTuple

from bench_deepspeed.core.text import NOT_MEASURED, harmless, sentence

from . import installed, palette, vega
from .blocks import Block, Cell, Facets, Figure, Headline, Link, Quoted, Section, Table, Warnings

TEMPLATES = Path(__file__).parent / "templates"
WORDS = 36
"""Characters of a cell beyond which its column breaks lines."""
INTERVAL = re.compile(r"\[[^][<]*\]|± \S+")
"""What is not broken over two lines in a cell."""
SHORT = 13
"""Characters of a cell up to which its column breaks none."""
DENSE = 12
"""Columns beyond which a table is printed smaller."""


class Chapter(NamedTuple):
    """A part of the page that its navigation leads to; `anchor` is what its addresses begin with."""

    anchor: str
    title: str
    blocks: Sequence[Block]


class File(NamedTuple):
    """A file that the page shows. `name` is what it is called there, `kind` of which kind it is."""

    path: Path
    name: str
    kind: str
    sha256: str


@dataclass(frozen=True)
class Part:
    """A block in its place: its `id`, the facets that it is shown with (always without any), and what is in it."""

    block: Block
    id: str
    facets: frozenset[Facets]
    parts: tuple[Part, ...] = ()

    @property
    def type(self) -> str:
        return type(self.block).__name__

    @property
    def holds_figure(self) -> bool:
        return any(part.type == "Figure" for part in self.parts)

    @property
    def warnings(self) -> int:
        """How many warnings it holds."""
        return sum(len(part.block.findings) for part in self.parts if isinstance(part.block, Warnings))


def render(chapters: Iterable[Chapter], files: Sequence[File], headlines: Sequence[Headline] = ()) -> str:
    """The whole page. Raises MachineError where what fills or draws it is not installed."""
    installed.require("the HTML page", "jinja2", *installed.DRAWING)
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    page = _Page(chapters, files, headlines)
    scripts = [*vega.page_scripts(), _text("sorting.js"), _text("report.js")]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "keys": page.keys,
        "cell": page.cell,
        "sentence": sentence,
        "code": _code,
        "widths": _widths,
    }
    text = environment.get_template("report.html.j2").render(
        page=page,
        styles=[_text("report.css"), palette.page_style(), vega.page_style()],
        scripts=scripts,
        hashes=list(map(_csp_hash, scripts)),
        data=_json(page.data()),
        DENSE=DENSE,
    )
    return _harmless(text)


class _Page:
    """The parts of a page, and what its filter distinguishes them by."""

    def __init__(self, chapters: Iterable[Chapter], files: Sequence[File], headlines: Sequence[Headline]):
        self.files, self.headlines = files, headlines
        self.chapters = [_part(Section(title, _boxed(blocks)), anchor, count(1)) for anchor, title, blocks in chapters]
        self._every = [part for chapter in self.chapters for part in _within(chapter)]
        self._facets = sorted({key for part in self._every for key in _own_facets(part.block)})
        self._numbers = {key: number for number, key in enumerate(self._facets)}
        self._places = {file.path.resolve(): f"file-{number}" for number, file in enumerate(files, 1)}
        self._places |= {
            part.block.source.resolve(): part.id
            for part in self._every
            if isinstance(part.block, Section) and part.block.source
        }
        self._names = _short_names(files)

    def choices(self) -> dict[str, list[str]]:
        """Facet → its values, of those that have several."""
        values = {name: sorted({key[n] for key in self._facets}) for n, name in enumerate(Facets._fields)}
        return {name: choices for name, choices in values.items() if len(choices) > 1}

    def data(self) -> dict:
        """What the page's script needs. Figures have the numbers of their keys."""
        figures = {part.id: vega.page_figure(part.block.chart) for part in self._every if part.type == "Figure"}
        for figure in figures.values():
            figure["keys"] = self._numbered(figure["keys"])
            figure["members"] = [self._numbered(keys) for keys in figure["members"]]
            for entry in figure["legend"]:
                entry["keys"] = self._numbered(entry["keys"])
        return {"facets": Facets._fields, "keys": self._facets, "figures": figures}

    def _numbered(self, facets: Iterable) -> list[int]:
        return sorted(self._numbers[key] for key in facets if key in self._numbers)

    def keys(self, facets: Iterable[Facets]):
        """The attribute that the filter knows an element by; nothing where it is always shown."""
        from markupsafe import Markup

        numbers = self._numbered(facets)
        return Markup(f' data-keys="{" ".join(map(str, numbers))}"') if numbers else ""

    def cell(self, cell: Cell):
        """A cell: a link by the file's name; what was not measured is marked, so that it does not pass for a number."""
        from markupsafe import Markup, escape

        if isinstance(cell, Quoted):
            return Markup('<span class="quoted">{}</span>').format(cell.text)
        if isinstance(cell, Link):
            path = cell.path.resolve()
            name, place = self._names.get(path, cell.text), self._places.get(path)
            return Markup('<a href="#{}">{}</a>{}').format(place, name, cell.after) if place else name + cell.after
        unmeasured = Markup(f'<span class="unmeasured">{NOT_MEASURED}</span>')
        parts = (str(escape(part)) for part in cell.split(NOT_MEASURED))
        return unmeasured.join(Markup(INTERVAL.sub(r'<span class="interval">\g<0></span>', part)) for part in parts)

    def evidence(self, path: Path):
        """A link to where a file is shown, by its name."""
        return self.cell(Link(path.name, path))


def _boxed(blocks: Sequence[Block]) -> list[Section]:
    """Sections; blocks that are in none stand together in one without a title."""
    sections: list[Section] = []
    for is_section, group in groupby(blocks, lambda block: isinstance(block, Section)):
        members = list(group)
        sections += members if is_section else [Section("", members)]
    return sections


def _part(block: Block, anchor: str, numbers: Iterator[int]) -> Part:
    """A block and what is in it; what is in a chapter is numbered in its order."""
    within = block.blocks if isinstance(block, Section) else ()
    parts = tuple(_part(inner, f"{anchor.partition('.')[0]}.{next(numbers)}", numbers) for inner in within)
    return Part(block, anchor, _own_facets(block) or frozenset().union(*(part.facets for part in parts)), parts)


def _within(part: Part) -> Iterator[Part]:
    yield part
    for inner in part.parts:
        yield from _within(inner)


def _own_facets(block: Block) -> frozenset[Facets]:
    """The facets of a block itself, not of what is in it. A chart may have keys that are none."""
    if isinstance(block, Figure):
        return frozenset(key for key in block.chart.keys if isinstance(key, Facets))
    if isinstance(block, Table):
        return frozenset().union(*(block.facets or ()), *block.column_facets.values())
    return block.facets if isinstance(block, Section) else frozenset()


def _short_names(files: Sequence[File]) -> dict[Path, str]:
    """Path → the file's name, with folders where another is called the same."""
    counts = Counter(Path(file.name).name for file in files)
    short = {file.name: Path(file.name).name for file in files}
    return {f.path.resolve(): short[f.name] if counts[short[f.name]] == 1 else f.name for f in files}


def _widths(table: Table) -> dict[str, str]:
    """Title of a column → the class of its cells: "words" break anywhere, "short" ones nowhere, others at spaces."""
    columns: dict[str, list[str]] = {}
    for row in table.rows:
        for title, cell in row.items():
            columns.setdefault(title, []).append(_plain(cell))
    return {title: _width(cells) for title, cells in columns.items()}


def _width(cells: Sequence[str]) -> str:
    """A value and its interval may stand on two lines."""
    longest = max(map(len, cells))
    if longest > WORDS:
        return "words"
    return "short" if longest <= SHORT and not any(map(INTERVAL.search, cells)) else ""


def _plain(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text


def _code(text: str):
    """Text whose `parts` are code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


SCRIPTS = re.compile(r"(<script\b.*?</script>)", re.DOTALL)


def _harmless(page: str) -> str:
    """The page whose control characters are spelled out, but not the suite's own in its scripts."""
    return "".join(part if n % 2 else harmless(part) for n, part in enumerate(SCRIPTS.split(page)))


def _json(data: dict):
    """JSON that no text in it can end the script element of, and whose texts have no control characters."""
    from markupsafe import Markup

    text = json.dumps(_spelled_out(data), ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _spelled_out(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelled_out(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled_out(inner) for inner in value]
    return harmless(value) if isinstance(value, str) else value


def _csp_hash(script: str) -> str:
    """How a Content-Security-Policy names an inline script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
