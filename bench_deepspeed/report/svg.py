"""Charts as files: SVG that is the same for the same data, and those of the documents against their evidence."""

from __future__ import annotations

import hashlib
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.core import signals
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.json_files import write_atomically

from . import installed
from .blocks import Figure
from .chart import Chart


@dataclass(frozen=True)
class Drawing:
    """One published figure and its file."""

    path: Path
    figure: Figure

    @property
    def source(self) -> str:
        """What it says that it was drawn from: each file's name and SHA-256."""
        digests = ((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in self.figure.sources)
        return ", ".join(f"{name} sha256:{digest}" for name, digest in digests)


def write(folder: Path, charts: Mapping[str, Chart]) -> list[Path]:
    """Write each chart as PNG and SVG, by its name. Returns where.

    Where that fails, a line on stderr says why, and nothing else: what is drawn was measured all the same.
    """
    written = []
    for name, chart in charts.items():
        png, svg = folder / f"{name}.png", folder / f"{name}.svg"
        try:
            installed.require("a figure", *installed.DRAWING)
            from . import vega

            drawn = vega.svg(chart)
            png.write_bytes(vega.png(drawn))
            svg.write_text(drawn, encoding="utf-8")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # whatever a drawing library raises: a panic of vl-convert is no Exception
            signals.check()
            reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …")
            print(f"figure {name} was not drawn: {reason}", file=sys.stderr)
        else:
            written += [png, svg]
    return written


def draw(drawings: Sequence[Drawing]) -> None:
    """Draw published figures. Raises MachineError when one cannot be drawn or written."""
    installed.require("a figure", *installed.DRAWING)
    from . import vega

    for drawing in drawings:
        try:
            drawing.path.parent.mkdir(exist_ok=True)
            write_atomically(drawing.path, vega.svg(drawing.figure.chart, drawing.source))
        except OSError as error:
            raise MachineError(f"cannot write {drawing.path}: {error.strerror}") from error


def stale(drawings: Sequence[Drawing]) -> list[Path]:
    """Figures that are not there, or were drawn from another file than the evidence as it is now.

    Each names the SHA-256 of what it was drawn from. Its lines are not compared: other versions of the drawing library
    draw them slightly differently.
    """
    return [d.path for d in drawings if not d.path.is_file() or d.source not in d.path.read_text(encoding="utf-8")]
