"""The sweeps below docs/results/sweeps/, and their figures in docs/figures/."""

from __future__ import annotations

from pathlib import Path

from ..errors import BenchError, MachineError
from ..schema import write_atomically
from ..sweep.schema import SweepResult
from . import sweep_figures

Published = list[tuple[Path, SweepResult]]


def of_model(model: str, results: Path) -> Published:
    """The published sweeps of one model."""
    return [(path, sweep) for path, sweep in _all(results) if sweep.settings.model == model]


def _all(results: Path) -> Published:
    """Every published sweep. Raises BenchError for one that must not be published."""
    found = [(path, SweepResult.load(path)) for path in sorted((results / "sweeps").glob("*.json"))]
    for path, sweep in found:
        if sweep.status != "complete":
            raise BenchError(f"{path} cannot be published: its status is {sweep.status!r}")
        if "fake" in sweep.settings.engines:
            raise BenchError(f"{path} cannot be published: the fake engine measures nothing")
    return found


def figures(evidence: Path, sweep: SweepResult) -> dict[str, Path]:
    """Title → file of each figure of a published sweep."""
    folder = evidence.parents[2] / "figures"
    names = sweep_figures.drawings(sweep)
    return {sweep_figures.TITLES[name]: folder / f"{evidence.stem}-{name}.svg" for name in names}


def draw_figures(results: Path) -> None:
    """Draw the figures of all published sweeps. Raises MachineError when one cannot be written."""
    for evidence, sweep in _all(results):
        for name, path in zip(sweep_figures.drawings(sweep), figures(evidence, sweep).values(), strict=True):
            try:
                path.parent.mkdir(exist_ok=True)
                write_atomically(path, sweep_figures.svg(sweep, name, sweep_figures.source_of(evidence)))
            except OSError as error:
                raise MachineError(f"cannot write {path}: {error.strerror}") from error


def stale_figures(results: Path) -> list[Path]:
    """Figures that are not there, or were drawn from another file than the evidence as it is now.

    Each names the SHA-256 of what it was drawn from. Its lines are not compared: other versions of matplotlib
    draw them slightly differently.
    """
    wanted = [
        (path, sweep_figures.source_of(evidence))
        for evidence, sweep in _all(results)
        for path in figures(evidence, sweep).values()
    ]
    return [path for path, source in wanted if not path.is_file() or source not in path.read_text(encoding="utf-8")]
