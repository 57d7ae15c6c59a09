"""How much pairs of processes differ in earlier comparisons, and the difference that a number of pairs detects."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.text import counted
from bench_deepspeed.measure.power import POWER, Detectable, detectable
from bench_deepspeed.measure.statistics import effective_size

from . import estimate
from .records import FILE, SUBFOLDER, AbResult

NEWEST = 10
"""The number of earlier comparisons that are read: older ones describe an earlier state of the machine."""


@dataclass(frozen=True)
class Noise:
    """Variances of log ratios: `between` pairs of processes, and `per_round`, which a pair's rounds average out.

    `source` says in words where they are from; `own`: from comparisons of the same sides on this machine.
    """

    between: float
    per_round: float
    source: str
    own: bool

    def deviation(self, rounds: int) -> float:
        """The standard deviation of log ratios of pairs with so many rounds."""
        return math.sqrt(self.between + self.per_round / rounds)

    def shows(self, pairs: int, rounds: int) -> Detectable | None:
        """The difference that so many pairs detect; None for one pair, which gives no verdict."""
        return detectable(self.deviation(rounds) / math.sqrt(pairs), pairs - 1) if pairs > 1 else None


def pooled(comparisons: Sequence[AbResult], source: str, own: bool) -> Noise | None:
    """The noise of comparisons together; None where none has two pairs.

    The variance of a pair's log ratio is s² of the pairs of each comparison, weighted by their number - 1. The
    rounds' part of it is the mean over all pairs of s² ∕ effective size (see `estimate.log_spread`), at most all of
    it; times the mean number of rounds it is that of one round.
    """
    logs = [[pair for pair in estimate.log_ratios(one) if pair] for one in comparisons]
    logs = [pairs for pairs in logs if len(pairs) > 1]
    if not logs:
        return None
    squares = sum(statistics.variance(map(statistics.fmean, pairs)) * (len(pairs) - 1) for pairs in logs)
    variance = squares / sum(len(pairs) - 1 for pairs in logs)
    every = [pair for pairs in logs for pair in pairs]
    repeated = [pair for pair in every if len(pair) > 1]
    within = statistics.fmean(statistics.variance(p) / effective_size(p) for p in repeated) if repeated else 0.0
    within = min(within, variance)
    return Noise(variance - within, within * statistics.fmean(map(len, every)), source, own)


def expected(sides: AbResult, logs: Path) -> Noise | None:
    """The noise that a comparison of these sides is to expect; None where it is not known.

    From earlier comparisons of the same in the folder of results, else from the published ones.
    """
    device, model = sides.a.scenario.device, sides.a.scenario.model
    place = logs / model / SUBFOLDER
    same = [one for one in _read(sorted(place.glob(f"*/{FILE}"), reverse=True)[:NEWEST]) if _alike(one, sides)]
    if own := pooled(same, f"{counted(len(same), 'earlier comparison')} of these sides in {paths.shown(place)}", True):
        return own
    published = _read(sorted((paths.RESULTS / SUBFOLDER).glob("*.json")))
    known = [one for one in published if one.a.scenario.device == device] or published
    machines = ", ".join(dict.fromkeys(one.a.environment.gpu_used or one.a.environment.cpu or "?" for one in known))
    shown = counted(len(known), "published comparison")
    source = f"{shown} on {machines}, since no earlier one of these sides is in {place.name}/"
    return pooled(known, source, False)


def power_text(pairs: int, rounds: int, shown: Detectable | None) -> str:
    """ "5 pairs × 10 rounds can show B 9.3% faster or 8.5% slower (with 80% power)"."""
    what = f"B {shown.shown} (with {POWER:.0%} power)" if shown else "nothing"
    return f"{counted(pairs, 'pair')} × {counted(rounds, 'round')} can show {what}"


def _read(files: Sequence[Path]) -> list[AbResult]:
    """Those that can be read and are complete; without the packages that reading needs, none."""
    results = []
    for file in files:
        try:
            results.append(AbResult.load(file))
        except (BenchError, ImportError):
            continue
    return [result for result in results if result.status == "complete"]


def _alike(one: AbResult, other: AbResult) -> bool:
    """Whether two comparisons are of the same sides and the same work, however many pairs and rounds they have."""
    names = ("model", "weights", "engine", "precision", "device", "prompt", "max_tokens")
    return one.asked == other.asked and all(
        getattr(one.sides[side].scenario, name) == getattr(other.sides[side].scenario, name)
        for side in one.sides
        for name in names
    )
