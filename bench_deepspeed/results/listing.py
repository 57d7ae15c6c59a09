"""Saved runs as a list, and each as its own command showed it."""

from __future__ import annotations

import re

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common.kind import Content, Kind
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import ImpossibleError, named
from bench_deepspeed.core.text import FAKE, NOT_MEASURED, SHAPE_ONLY, has_random_weights
from bench_deepspeed.measure.speed import SPEED_LEGEND
from bench_deepspeed.report import terminal
from bench_deepspeed.report.blocks import Table, Text

from .entries import Entry
from .find import SavedRun

LOG_NAMES = ("performance.log", "ab.log")
LEGEND = (
    f"started: UTC; {SPEED_LEGEND}; of a load test, those of the level with the most; of a comparison the ratio B ∕ A "
    "of both sides'; warnings: how many, and `bench.sh results ID` shows them"
)
MARKS = {"*": SHAPE_ONLY, "†": FAKE}
"""Mark behind a speed → what must be known of it."""
INTERVAL = "[95% interval]"
OPTIONAL = ("codes of warnings", "started", "model", "device", "precision", "engine", "kind", INTERVAL)
"""Columns that a narrow terminal does not show, the first one first: an ID names the model, the kind and the time.

Status and the number of warnings are always shown.
"""


def text(entries: list[Entry]) -> str:
    """One row a run, the newest last, and below what went wrong, a line each."""
    rows = [_row(entry) for entry in sorted(entries, key=lambda entry: entry.started)]
    marked = {mark for entry in entries for mark in _marks(entry)}
    legend = "; ".join([LEGEND, *(f"{mark}: {meaning}" for mark, meaning in MARKS.items() if mark in marked)])
    errors = [f"{entry.id}: {entry.status}: {entry.error}" for entry in entries if entry.error]
    return terminal.render([Table(rows, "Runs", optional=OPTIONAL), *map(Text, [legend, *errors])])


def _marks(entry: Entry) -> list[str]:
    random_weights = "random" in entry.weights and has_random_weights("random", *entry.engines)
    return ["*"] * random_weights + ["†"] * ("fake" in entry.engines)


def _ranks(entry: Entry) -> list[str]:
    """How many ranks computed together, where it was not always one."""
    several = any(ranks > 1 for ranks in entry.tensor_parallel)
    return [f"{' and '.join(map(str, entry.tensor_parallel))} ranks"] if several else []


def _row(entry: Entry) -> dict[str, str]:
    speed, basis = re.fullmatch(r"(.*?)((?: [\[(].*)?)", entry.speed, re.DOTALL).groups()
    return {
        "id": entry.id,
        "kind": entry.kind,
        "started": f"{entry.started:%Y-%m-%d %H:%M}",
        "model": ", ".join(entry.models),
        "engine": ", ".join([*entry.engines, *_ranks(entry)]),
        "precision": ", ".join(entry.precisions),
        "device": entry.device,
        "tokens/s": " ".join(filter(None, [speed, *(_marks(entry) if speed not in ("", NOT_MEASURED) else [])])),
        INTERVAL: basis.strip(),
        "status": entry.status,
        "warnings": str(len(entry.warnings)) if entry.warnings else "none",
        "codes of warnings": ", ".join(entry.warnings),
    }


def shown(run: SavedRun) -> str:
    """A run as its command showed it at its end; with its answers' check, if it has one. Raises UsageError."""
    parts = []
    for name, path in run.files.items():
        with named(path):
            kind = registry.kind(name)
            parts.append(_view(kind, kind.load(path)))
    logs = [log for name in LOG_NAMES if (log := run.folder / name).is_file()]
    files = [f"{path.stem:<8} {paths.shown(path)}" for path in run.files.values()]
    parts.append("\n".join([*files, *(f"log      {paths.shown(log)}" for log in logs)]))
    return "\n\n".join(parts)


def _view(kind: Kind, content: Content) -> str:
    """All of it, and how it ended, where it did not reach its end; what is impossible is never shown as a speed."""
    try:
        kind.require_possible(content)
    except ImpossibleError as error:
        return f"status {content.status}: {error}"
    ended = "" if content.status == "complete" else f"status {content.status}"
    if ended and content.error:
        ended += f": {content.error}"
    return "\n\n".join(filter(None, [terminal.render(kind.view(content)), ended]))
