"""`--detect 3%`: the number of pairs of processes that detect such a difference. The simulation uses it too."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.text import counted
from bench_deepspeed.measure.power import POWER, pairs_to_detect
from bench_deepspeed.measure.stopping import MAX_PROCESSES

from .flags import PILOT_PAIRS
from .noise import Noise


@dataclass
class Search:
    """The pairs that are planned to show a B that is faster by `share`, which the first pairs can only make more.

    This is an internal pilot (J. Wittes and E. Brittain, "The role of internal pilot studies in increasing the
    efficiency of clinical trials", Statistics in Medicine 9, 1990). It costs a little of the 95%: the simulation of
    power in docs/method/ab.md shows how much.
    """

    share: float
    planned: int

    def __post_init__(self):
        self.pilot = min(self.planned, PILOT_PAIRS)

    def ended(self, logs: list[list[float]]) -> str | None:
        """Why no further pair follows; None while one does. Called after each pair."""
        n = len(logs)
        if n == self.pilot and (reason := self._replan(logs)):
            return reason
        return f"{counted(n, 'pair')} of processes, as many as --detect takes" if n >= self.planned else None

    def _replan(self, logs: list[list[float]]) -> str | None:
        means = [statistics.fmean(pair) for pair in logs if pair]
        done = f"{counted(len(logs), 'pair')} of processes"
        if len(means) < 2:
            return f"{done}: fewer than two have a valid round, so their spread is not known"
        spread = statistics.stdev(means)
        needed = pairs_to_detect(spread, math.log1p(self.share), MAX_PROCESSES)
        if needed is None:
            return f"{done}: {out_of_reach(self.share, spread, 'as measured')}"
        self.planned = max(self.planned, needed)
        return None


def planned(share: float, rounds: int, noise: Noise | None) -> Search:
    """The search by the expected noise. Raises UsageError where earlier comparisons show that no number of pairs does.

    The noise of other machines decides nothing: the pilot does.
    """
    if noise is None or not noise.own:
        return Search(share, PILOT_PAIRS)
    pairs = pairs_to_detect(noise.deviation(rounds), math.log1p(share), MAX_PROCESSES)
    if pairs is None:
        raise UsageError(out_of_reach(share, noise.deviation(rounds), noise.source))
    return Search(share, pairs)


def out_of_reach(share: float, spread: float, source: str) -> str:
    """Why so many pairs are not enough, and what to do."""
    return (
        f"--detect {100 * share:.3g}% is out of reach: pairs differ by {spread:.1%} ({source}), and to show it with "
        f"{POWER:.0%} power takes more than {MAX_PROCESSES} of them; use a larger --detect or more --rounds, "
        "or end other work on the machine"
    )
