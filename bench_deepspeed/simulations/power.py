"""Whether `bench.sh ab` shows the difference that it calls detectable in 80% of its comparisons; what --detect does.

    python -m bench_deepspeed.simulations.power [--check]

A row of pairs draws the log ratio of each round as ln(B ∕ A) + a part of its pair + a part of its own, both normal; the
estimate, its interval and the search for the number of pairs are those of a real comparison. A row of whole comparisons
has warm-ups, orders and generations simulated too (`simulations.ab`), and the noise that its power is predicted from is
that of other comparisons, as for a user who compared before.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import asdict, dataclass
from statistics import fmean

from bench_deepspeed.benchmarks.ab import estimate, noise
from bench_deepspeed.benchmarks.ab.detect import Search
from bench_deepspeed.benchmarks.ab.flags import PILOT_PAIRS
from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.measure.distributions import LEVEL
from bench_deepspeed.measure.power import POWER, pairs_to_detect
from bench_deepspeed.measure.stopping import MAX_PROCESSES
from bench_deepspeed.simulations import command

from . import ab

EVIDENCE = RESULTS / "simulations" / "power.json"
TRIALS, WHOLE_TRIALS, EARLIER = 4000, 400, 20
ROUNDS = ab.ROUNDS
Draw = random.Random


@dataclass(frozen=True)
class Case:
    """Pairs whose log ratios have the standard deviation `between`, and rounds within them `within`.

    `pairs` are fixed, or, with `detect`, those that the search begins with: 5 where nothing is known before, else what
    the noise, known exactly, makes expect.
    """

    between: float
    within: float
    pairs: int
    detect: float | None = None

    @property
    def noise(self) -> noise.Noise:
        return noise.Noise(self.between**2, self.within**2, "the model", own=True)


def searched(between: float, within: float, share: float) -> Case:
    """A search that begins with what the noise makes expect."""
    deviation = noise.Noise(between**2, within**2, "", own=True).deviation(ROUNDS)
    return Case(between, within, pairs_to_detect(deviation, math.log1p(share), MAX_PROCESSES) or MAX_PROCESSES, share)


CASES = (
    *(Case(0.02, 0.03, pairs) for pairs in (3, 5, 10)),
    *(Case(0.08, 0.05, pairs) for pairs in (3, 5, 10)),
    Case(0.02, 0.03, PILOT_PAIRS, 0.03),
    searched(0.02, 0.03, 0.03),
    Case(0.02, 0.03, PILOT_PAIRS, 0.05),
    Case(0.08, 0.05, PILOT_PAIRS, 0.03),
)
"""Quiet processes, and processes as far apart as those of the published comparisons on an H100."""
WHOLE_PAIRS = (3, 5, 10)


def pair(case: Case, log: float, draw: Draw) -> list[float]:
    """The log ratios of one pair's rounds."""
    own = log + draw.gauss(0.0, case.between)
    return [own + draw.gauss(0.0, case.within) for _ in range(ROUNDS)]


def compare(case: Case, log: float, draw: Draw) -> tuple[estimate.PairedRatio, bool]:
    """One comparison, and whether its search found the difference out of reach."""
    if case.detect is None:
        return estimate.ratio([pair(case, log, draw) for _ in range(case.pairs)]), False
    search, logs, ended = Search(case.detect, case.pairs), [], None
    while ended is None:
        logs.append(pair(case, log, draw))
        ended = search.ended(logs)
    return estimate.ratio(logs), "out of reach" in ended


def study(case: Case, trials: int, first: int = 0) -> dict:
    """So many comparisons of a B that is faster by what is detectable, or was requested, and as many of equal sides."""
    detectable = case.noise.shows(case.pairs, ROUNDS)
    log = math.log1p(case.detect) if case.detect is not None else detectable.log
    seeds = [f"power {asdict(case)}, trial {number}" for number in range(first, first + trials)]
    different = [compare(case, log, Draw(f"{seed}, B faster")) for seed in seeds]
    equal = [compare(case, 0.0, Draw(f"{seed}, equal")) for seed in seeds]
    return {
        "simulated": "pairs",
        **asdict(case),
        "deviation": round(case.noise.deviation(ROUNDS), 6),
        "ratio": round(math.exp(log), 6),
        "trials": trials,
        "out_of_reach": sum(gave_up for _, gave_up in different),
        "mean_pairs": round(fmean(ratio.n for ratio, _ in different), 3),
        **_counts([ratio for ratio, _ in different], [ratio for ratio, _ in equal]),
    }


def study_whole(pairs: int, trials: int = WHOLE_TRIALS, first: int = 0) -> dict:
    """The same of whole comparisons, under all noises together."""
    drawn = ab.NOISES["all together"]
    before = [ab.simulate(drawn, 1.0, ab.PAIRS, f"power, earlier {number}") for number in range(EARLIER)]
    expected = noise.pooled(before, "simulated", own=True)
    detectable = expected.shows(pairs, ROUNDS)
    seeds = [f"power, {pairs} pairs, trial {number}" for number in range(first, first + trials)]
    different = [ab.simulate(drawn, detectable.ratio, pairs, seed) for seed in seeds]
    equal = [ab.simulate(drawn, 1.0, pairs, f"{seed}, equal") for seed in seeds]
    ratios = [[estimate.ratio(estimate.log_ratios(result)) for result in results] for results in (different, equal)]
    return {
        "simulated": "whole",
        "pairs": pairs,
        "detect": None,
        "deviation": round(expected.deviation(ROUNDS), 6),
        "ratio": round(detectable.ratio, 6),
        "trials": trials,
        "out_of_reach": 0,
        "mean_pairs": float(pairs),
        **_counts(*ratios),
    }


def _counts(different: list[estimate.PairedRatio], equal: list[estimate.PairedRatio]) -> dict:
    shown = [estimate.faster(ratio) for ratio in different].count("B")
    return {
        "shown": shown,
        "shown_interval": ab.clopper_pearson(shown, len(different)),
        "false": sum(estimate.faster(ratio) is not None for ratio in equal),
        "median_detectable": round(sorted(ratio.detectable.ratio for ratio in different)[len(different) // 2], 6),
    }


def evidence(trials: int = TRIALS) -> dict:
    """All that is published."""
    rows = [*(study(case, trials) for case in CASES), *(study_whole(pairs) for pairs in WHOLE_PAIRS)]
    return {**settings(), "rows": rows}


def settings() -> dict:
    """What all rows have in common."""
    return {"level": LEVEL, "power": POWER, "rounds": ROUNDS, "max_pairs": MAX_PROCESSES, "earlier": EARLIER}


if __name__ == "__main__":
    sys.exit(command("power", __doc__, EVIDENCE, evidence))
