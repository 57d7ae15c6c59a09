"""From the numbers to a word: does the engine cost more than its precision costs anyone?"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass

from bench_deepspeed.core.precision import PRECISIONS

# An engine with kernels of its own rounds differently from Transformers in the same precision, so its
# distance from float32 scatters around the floor; a maximum, which is one position's, scatters more.
# The factors are choices; see docs/method/quality.md.
FACTOR = 2.0
FACTOR_OF_A_MAXIMUM = 10.0
ERRORS = 2.0  # standard errors by which a mean may differ by chance
CHANCE = 0.025  # probability with which a share of disagreements may look too large, as two standard errors have


@dataclass(frozen=True)
class Distance:
    """Distance from the float32 reference over all questions' positions; zero for the reference itself."""

    positions: int
    mean_kl: float
    max_kl: float
    nll_difference: float
    nll_error: float
    """Standard error of `nll_difference`, the positions taken as independent."""
    top1_disagreement: float
    on_top_kl: float
    """Mean KL divergence from Transformers in the same precision: what the engine adds on top of it."""


# What two orders of summation in float32 leave: smaller distances than these are none.
SMALLEST = {"mean_kl": 1e-7, "max_kl": 1e-5, "nll_difference": 1e-4, "on_top_kl": 1e-7}
TITLES = {
    "mean_kl": "mean KL",
    "max_kl": "max KL",
    "nll_difference": "ΔNLL",
    "top1_disagreement": "top-1 disagreement",
    "on_top_kl": "KL on top",
    "answer_gap": "answer gap",
    "past_end": "tokens past the end",
}
"""Measure → its title, in tables and in words."""


@dataclass(frozen=True)
class Measures:
    """One engine in one precision: its own answers, and its logits on the reference's tokens.

    `early`: each question at the start of the context; `late`: after the other questions and answers.
    """

    questions: int
    exact_matches: int
    first_difference: int | None
    edit_similarity: float
    answer_gap: float
    early: Distance
    late: Distance
    past_end: int | None = None
    """Tokens behind the end of any answer, at most; None in files from before these were counted."""


def measures(answers: list[dict]) -> Measures:
    """Pool an engine's answers: distances over all positions, edit similarity over questions."""
    differences = [a["first_difference"] for a in answers if a["first_difference"] is not None]
    return Measures(
        questions=len(answers),
        exact_matches=sum(a["exact_match"] for a in answers),
        first_difference=min(differences, default=None),
        edit_similarity=statistics.fmean(a["edit_similarity"] for a in answers),
        answer_gap=max(a["answer_gap"] for a in answers),
        early=_distance([a["early"] for a in answers]),
        late=_distance([a["late"] for a in answers]),
        past_end=max((a["past_end"] for a in answers), default=None) if all("past_end" in a for a in answers) else None,
    )


def _distance(forced: list[dict]) -> Distance:
    kl = [value for f in forced for value in f["kl"]]
    nll = [value for f in forced for value in f["nll_differences"]]
    agreeing = sum(f["top1_agreement"] * len(f["kl"]) for f in forced)
    return Distance(
        positions=len(kl),
        mean_kl=statistics.fmean(kl),
        max_kl=max(kl),
        nll_difference=statistics.fmean(nll),
        nll_error=statistics.stdev(nll) / math.sqrt(len(nll)) if len(nll) > 1 else 0.0,
        top1_disagreement=1.0 - agreeing / len(kl),
        on_top_kl=statistics.fmean(value for f in forced for value in f["on_top_kl"]),
    )


def floor_of(answers: list[dict] | None, engine: Measures) -> Measures:
    """The noise floor: Transformers' measures; with None, the reference's own, which are perfect."""
    if answers is not None:
        return measures(answers)
    none = Distance(engine.early.positions, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return Measures(engine.questions, engine.questions, None, 1.0, 0.0, none, none)


def verdict_of(candidate: dict, own_kernels: bool) -> dict:
    """The verdict that follows from a candidate's answers and its floor's; see `judge`."""
    engine = measures(candidate["engine"])
    return judge(engine, floor_of(candidate["floor"], engine), candidate["precision"], own_kernels)


def judge(engine: Measures, floor: Measures, precision: str, own_kernels: bool) -> dict:
    """The verdict: `ok`, the words, and each measure that is outside with its value and its limit."""
    outside = []
    for place in ("early", "late"):
        distance, base = getattr(engine, place), getattr(floor, place)
        for name, limit in _limits(distance, base, own_kernels).items():
            value = abs(getattr(distance, name))
            if not value <= limit:  # NaN is outside too
                outside.append({"place": place, "measure": name, "value": value, "limit": limit})
    gap, gap_limit = engine.answer_gap, max(FACTOR * floor.answer_gap, PRECISIONS[precision].near_tie)
    if not gap <= gap_limit:
        outside.append({"place": "early", "measure": "answer_gap", "value": gap, "limit": gap_limit})
    if engine.past_end:
        outside.append({"place": "early", "measure": "past_end", "value": engine.past_end, "limit": 0})
    return {"ok": not outside, "words": _words(engine, outside), "outside": outside, "measures": asdict(engine)}


def _limits(engine: Distance, floor: Distance, own_kernels: bool) -> dict[str, float]:
    """Measure → the largest value within the noise floor.

    A mean and a share are granted their sampling error. What the engine adds on top of Transformers has two
    floors: with kernels of its own, twice Transformers' own distance, since the variances of two independent
    roundings add up; without, none at all.
    """
    sampling = math.hypot(engine.nll_error, FACTOR * floor.nll_error)
    limits = {
        "mean_kl": FACTOR * floor.mean_kl,
        "max_kl": FACTOR_OF_A_MAXIMUM * floor.max_kl,
        "nll_difference": FACTOR * abs(floor.nll_difference) + ERRORS * sampling,
        "top1_disagreement": _largest_share(floor.top1_disagreement, floor.positions),
        "on_top_kl": FACTOR * 2 * floor.mean_kl if own_kernels else 0.0,
    }
    return {name: max(limit, SMALLEST.get(name, 0.0)) for name, limit in limits.items()}


def _largest_share(floor: float, positions: int) -> float:
    """The largest share of disagreements that does not show more than FACTOR times the floor's rate.

    Two counts a and b of equally many positions, whose rates are in the ratio FACTOR to 1, are binomial given their
    sum: a of a + b with the probability FACTOR ∕ (FACTOR + 1) (J. Przyborowski and H. Wilenski, 1940). The
    share is too large where as many or more have a probability below CHANCE.
    """
    from scipy.special import bdtrc

    floor_count, probability = round(floor * positions), FACTOR / (FACTOR + 1.0)
    count = 0
    while count < positions and bdtrc(count, count + 1 + floor_count, probability) >= CHANCE:
        count += 1
    return count / positions


def _words(engine: Measures, outside: list[dict]) -> str:
    if outside:
        worst = max(outside, key=lambda o: o["value"] / o["limit"] if o["limit"] else math.inf)
        more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
        title = TITLES[worst["measure"]]
        values = f"{worst['place']} {title} {worst['value']:.3g}, the limit is {worst['limit']:.3g}"
        return f"outside the noise floor: {values}{more}"
    if engine.early.max_kl == engine.late.max_kl == 0.0 and engine.exact_matches == engine.questions:
        return "identical to float32"
    return "within the noise floor"
