"""What a view is made of. A kind of result fills blocks, a format shows them, and neither knows the other.

Standard library only: a view costs nothing to build and imports no format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .chart import Chart


class Facets(NamedTuple):
    """What the page's filter distinguishes."""

    model: str
    engine: str
    device: str
    precision: str


@dataclass(frozen=True)
class Link:
    """A cell that leads to a file: the evidence of a row."""

    text: str
    path: Path
    after: str = ""
    """Text behind the link."""


@dataclass(frozen=True)
class Quoted:
    """A cell of text that somebody else wrote, such as a model's answer: shown as it is, whatever it holds."""

    text: str


Cell = str | Link | Quoted


@dataclass(frozen=True)
class Text:
    """A paragraph. `strong`: the one sentence that answers the question; `link` stands behind it."""

    text: str
    strong: bool = False
    link: Link | None = None


@dataclass(frozen=True)
class Facts:
    """Names and their values, each on a line."""

    facts: Mapping[str, str]
    title: str = ""


@dataclass(frozen=True)
class Warnings:
    """Warnings with their remedies: (code, text, remedy), the last "" where there is none."""

    findings: Sequence[tuple[str, str, str]]

    @property
    def lines(self) -> list[str]:
        """A line each."""
        return [f"warning {code}: {text}{f'; {remedy}' if remedy else ''}" for code, text, remedy in self.findings]


@dataclass(frozen=True)
class Table:
    """Rows of cells under the same titles. `label` says what it is a table of.

    `facets` are those of each row; `column_facets` those of a column by its title, as where one result is one column.
    `optional` are the titles of columns that a narrow format may leave out, the first one first.
    """

    rows: Sequence[Mapping[str, Cell]]
    label: str
    facets: Sequence[frozenset[Facets]] | None = None
    column_facets: Mapping[str, frozenset[Facets]] = field(default_factory=dict)
    optional: Sequence[str] = ()

    @property
    def sortable(self) -> bool:
        """Whether its rows mean the same in any order: each says what it is, and none is a property of the columns."""
        firsts = [next(iter(row.values()), "") for row in self.rows]
        return len(firsts) > 1 and all(firsts) and not self.column_facets


@dataclass(frozen=True)
class Figure:
    """A chart. `name` is that of its file, without its suffix; `sources` are the files that it was drawn from."""

    chart: Chart
    name: str
    title: str
    sources: Sequence[Path] = ()


@dataclass(frozen=True)
class Section:
    """Blocks under a heading. `folded`: details, which the page shows on demand.

    Documents leave folded sections out, but for those that are `documented`, which they fold as well. `source` is the
    file that it shows whole: on the page, a link to the file leads here.
    """

    title: str
    blocks: Sequence[Block]
    folded: bool = False
    documented: bool = False
    facets: frozenset[Facets] = field(default_factory=frozenset)
    source: Path | None = None


@dataclass(frozen=True)
class Headline:
    """What a page says first of a model: its fastest configuration, and how many times as fast as another it is.

    Without a baseline there is only the speed. `ratio`: "3.50", `interval`: "[2.68, 4.58]", or what keeps it from being
    known.
    """

    model: str
    machine: str
    best: str
    speed: str
    tokens_per_s: float
    source: Path
    facets: frozenset[Facets]
    baseline: str = ""
    baseline_speed: str = ""
    ratio: str = ""
    interval: str = ""
    verdict: str = ""
    has_interval: bool = False
    warnings: Sequence[str] = ()


Block = Text | Facts | Warnings | Table | Figure | Section
