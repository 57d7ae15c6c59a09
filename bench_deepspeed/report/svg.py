"""Figures as files: SVG that is the same for the same data, and those of the documents against their evidence."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from bench_deepspeed import signals
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.json_files import write_atomically

STYLE = Path(__file__).parent / "templates" / "matplotlibrc"


@dataclass(frozen=True)
class Drawing:
    """One published figure: its file, what it is drawn from (see `source_of`), and how."""

    path: Path
    source: str
    picture: Callable[[], object]
    """Returns a matplotlib Figure."""


def svg(picture: Callable[[], object], source: str | None = None) -> str:
    """A figure as SVG; `source` goes into its metadata. The same figure gives the same text."""
    file = io.StringIO()
    with _style():
        picture().savefig(file, format="svg", transparent=True, metadata={"Date": None, "Source": source})
    return file.getvalue()


def _png(picture: Callable[[], object]) -> bytes:
    file = io.BytesIO()
    with _style():
        picture().savefig(file, format="png", transparent=True, dpi=200)
    return file.getvalue()


@contextlib.contextmanager
def _style() -> Iterator[None]:
    """matplotlib in the settings of `STYLE` alone, whatever the user's folders hold."""
    with _in_folder(STYLE.parent):  # on import the current folder's file is read, and no other
        import matplotlib
    with matplotlib.rc_context(fname=STYLE):
        yield


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Work in another folder. The current one may be deleted, and is the current one again afterwards."""
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def write(folder: Path, pictures: dict[str, Callable[[], object]]) -> list[Path]:
    """Write each picture as PNG and SVG, by its name. Returns where.

    Where that fails, a line on stderr says why, and nothing else: what is drawn was measured all the same.
    """
    written = []
    for name, picture in pictures.items():
        png_path, svg_path = folder / f"{name}.png", folder / f"{name}.svg"
        try:
            png_path.write_bytes(_png(picture))
            svg_path.write_text(svg(picture), encoding="utf-8")
        except Exception as error:  # whatever a drawing library raises
            signals.check()
            reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …")
            tqdm.write(f"figure {name} was not drawn: {reason}", file=sys.stderr)
        else:
            written += [png_path, svg_path]
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
