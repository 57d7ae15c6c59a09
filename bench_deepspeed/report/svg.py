"""Figures as files: SVG that is the same for the same data, and those of the documents against their evidence."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.json_files import write_atomically


@dataclass(frozen=True)
class Drawing:
    """One published figure: its file, what it is drawn from (see `source_of`), and how."""

    path: Path
    source: str
    picture: Callable[[], object]
    """Returns a matplotlib Figure."""


def svg(picture: Callable[[], object], source: str | None = None) -> str:
    """A figure as SVG; `source` goes into its metadata. The same figure gives the same text."""
    from matplotlib import rc_context

    file = io.StringIO()
    # Text stays text, and there is neither a date nor a random id.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "bench_deepspeed"}):
        picture().savefig(file, format="svg", transparent=True, metadata={"Date": None, "Source": source})
    return file.getvalue()


def write(folder: Path, pictures: dict[str, Callable[[], object]]) -> list[Path]:
    """Write each picture as PNG and SVG, by its name. Returns where; raises MachineError when one cannot be written."""
    written = []
    try:
        for name, picture in pictures.items():
            written += [folder / f"{name}.png", folder / f"{name}.svg"]
            picture().savefig(written[-2], transparent=True, dpi=200)
            written[-1].write_text(svg(picture), encoding="utf-8")
    except OSError as error:
        raise MachineError(f"cannot write the figures to {folder}: {error.strerror}") from error
    return written


def source_of(*evidence: Path) -> str:
    """What a published figure says it was drawn from: each file's name and SHA-256."""
    return ", ".join(f"{path.name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in evidence)


def draw(drawings: list[Drawing]) -> None:
    """Draw published figures. Raises MachineError when one cannot be written."""
    for drawing in drawings:
        try:
            drawing.path.parent.mkdir(exist_ok=True)
            write_atomically(drawing.path, svg(drawing.picture, drawing.source))
        except OSError as error:
            raise MachineError(f"cannot write {drawing.path}: {error.strerror}") from error


def stale(drawings: list[Drawing]) -> list[Path]:
    """Figures that are not there, or were drawn from another file than the evidence as it is now.

    Each names the SHA-256 of what it was drawn from. Its lines are not compared: other versions of matplotlib
    draw them slightly differently.
    """
    return [d.path for d in drawings if not d.path.is_file() or d.source not in d.path.read_text(encoding="utf-8")]
