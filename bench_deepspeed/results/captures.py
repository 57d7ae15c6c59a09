"""What commands print on a terminal of 80 columns, made from the published evidence: the documents show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench_deepspeed.benchmarks.common import evidence
from bench_deepspeed.benchmarks.common.kind import Item
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.text import wrapped
from bench_deepspeed.report import terminal
from bench_deepspeed.report.blocks import Block

from . import verify
from .compare.comparable import obstacles
from .compare.comparison import Comparison
from .compare.view import blocks as compare_blocks

COLUMNS = 80
FIRST = {"run": 2, "quality": 4, "sweep": 2, "load": 4, "ab": 4, "compare": 4, "selftest": 3, "referee": 2}
"""How many blocks of a command's output a document shows; what follows is warnings, legends and details."""


class Captures:
    """The captures that documents can name.

    A capture is named by the command, and by the published file that it shows: `run/NAME`, `sweep/NAME` and so on,
    where NAME is the file without its folder and extension; `compare/NAME/NAME` compares two results of `run`;
    `verify/KIND` is `report --verify` of all files of a kind.
    """

    def __init__(self, items: Iterable[Item], results: Path):
        self._results = results
        self._items = {(item.kind.name, item.path.stem): item for item in items}

    def find(self, name: str) -> str | None:
        """The text of a capture; None where the name is of none. Raises BenchError for results that do not compare."""
        command, *stems = name.split("/")
        if command == "verify":
            items = [item for (kind, _), item in self._items.items() if [kind] == stems]
            return "\n".join(map(self._verified, items)) or None
        items = [self._items.get(("run" if command == "compare" else command, stem)) for stem in stems]
        found = [item for item in items if item is not None]
        if len(found) != len(stems) or len(found) != (2 if command == "compare" else 1):
            return None
        shown = self._compared(found) if command == "compare" else found[0].kind.view(found[0].content)
        return terminal.render(shown[: FIRST[command]], COLUMNS)

    def _compared(self, items: Sequence[Item]) -> Sequence[Block]:
        paths, results = [self._path(item) for item in items], [item.content for item in items]
        if found := obstacles(paths, results):
            raise BenchError(f"a document compares results that are not comparable: {'; '.join(found)}")
        return compare_blocks(Comparison(paths, results, [], None))

    def _verified(self, item: Item) -> str:
        return wrapped(verify.line(self._path(item), evidence.verify(item.kind, item.path)), COLUMNS, terminal.INDENT)

    def _path(self, item: Item) -> Path:
        """The published file as it is named on a command line in the checkout."""
        return Path("docs/results") / item.path.relative_to(self._results)
