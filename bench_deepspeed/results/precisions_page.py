"""The page of the precisions: the table of capabilities of one device, and what each cell stands for."""

from __future__ import annotations

from bench_deepspeed.core.capabilities import TABLE, Cell
from bench_deepspeed.core.precision import NAMES
from bench_deepspeed.engines import ENGINES
from bench_deepspeed.report.tables import grid


def tables(device: str) -> str:
    """Engines × precisions with the number of each note, and the notes: by what it runs, or why it does not."""
    notes: dict[str, int] = {}
    rows = []
    for engine in (name for name in ENGINES if name != "fake"):
        cells = TABLE[engine][device]
        rows.append({"engine": f"`{engine}`", **{name: _shown(name, cells[name], notes) for name in NAMES}})
    listed = "\n".join(f"{number}. {text}." for text, number in notes.items())
    return f"{grid(rows)}\n\n{listed}"


def _shown(precision: str, cell: Cell, notes: dict[str, int]) -> str:
    number = notes.setdefault(_note(precision, cell), len(notes) + 1)
    return f"{'yes' if cell.path else 'no'} ({number})"


def _note(precision: str, cell: Cell) -> str:
    """What one cell stands for, in a sentence without its stop."""
    if not cell.path:
        return f"No: {cell.reason}"
    if cell.packing is None:
        return cell.path
    library = f"; needs the package `{cell.library}`" if cell.library else ""
    only = f"; on compute capability {cell.major}.x alone: {cell.reason}" if cell.major is not None else ""
    packing, multiples = cell.packing, " × ".join(map(str, cell.packing.multiples))
    shapes = f", layers of multiples of {multiples} (outputs × inputs)" if set(packing.multiples) != {1} else ""
    filled = (
        f", filled up to multiples of {' × '.join(map(str, packing.padding))}" if set(packing.padding) != {1} else ""
    )
    return (
        f"{cell.path}: {precision} in {packing.bits} bits, {packing.words}, {packing.group_bytes} bytes each"
        f"{shapes}{filled}; products and all else in {cell.compute}{library}{only}"
    )
