"""From the numbers to a word: does the engine cost more than its precision costs anyone?"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass

from bench_deepspeed.core.capabilities import cell
from bench_deepspeed.core.precision import PRECISIONS
from bench_deepspeed.engines import engine_class

# An engine with kernels of its own rounds differently from Transformers in the same precision, so its
# distance from float32 scatters around the floor; a maximum, which is one position's, scatters more.
# The factors are choices; see docs/method/quality.md.
FACTOR = 2.0
FACTOR_OF_A_MAXIMUM = 10.0
SCHEMES = 2.0
"""Times the error of another scheme of the same bits, with other groups, that one may have; KL grows as its square."""
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
    """Mean KL divergence from the baseline in the same precision: what the engine adds on top of it."""


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


def is_alone(candidate: dict) -> bool:
    """Whether nothing but this engine runs in the precision. Files from before there were others have no baseline."""
    return candidate.get("baseline", "transformers") is None


def floor_of(candidate: dict, engine: Measures) -> Measures | None:
    """The noise floor: the baseline's measures, or the reference's own, which are perfect; None where there is none."""
    if is_alone(candidate):
        return None
    if candidate["floor"] is not None:
        return measures(candidate["floor"])
    none = Distance(engine.early.positions, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return Measures(engine.questions, engine.questions, None, 1.0, 0.0, none, none)


def verdict_of(candidate: dict, engine: str, device: str, ranks: int = 1) -> dict:
    """The verdict that follows from a candidate's answers and its floor's; see `judge`.

    Several ranks add up their parts in another order than one does, as kernels of their own would.
    """
    own, runs = measures(candidate["engine"]), cell(engine, device, candidate["precision"])
    schemes = SCHEMES if runs.packing and runs.path != _path(candidate, device) else 1.0
    own_kernels = engine_class(engine).own_kernels or schemes > 1 or ranks > 1
    verdict = judge(own, floor_of(candidate, own), runs.compute, own_kernels, schemes)
    if is_alone(candidate):
        _say_alone(verdict, candidate["precision"], device, own)
    return verdict


def _say_alone(verdict: dict, precision: str, device: str, own: Measures) -> None:
    """Without a noise floor the answers can be wrong, and are never within it: `ok` is False or None."""
    if verdict["ok"]:
        verdict["ok"] = None
        verdict["words"] = (
            f"no noise floor: nothing else runs {precision} on this {device}; mean KL from float32 "
            f"{own.early.mean_kl:.3g} early, {own.late.mean_kl:.3g} late"
        )
    else:
        verdict["words"] = verdict["words"].replace("outside the noise floor", "wrong, without a noise floor", 1)


def _path(candidate: dict, device: str) -> str:
    """By what the baseline runs."""
    return cell(candidate.get("baseline") or "", device, candidate["precision"]).path


def judge(engine: Measures, floor: Measures | None, precision: str, own_kernels: bool, schemes: float = 1.0) -> dict:
    """The verdict: `ok`, the words, and each measure that is outside with its value and its limit.

    `precision` is that of the products; `schemes`: the factor between the errors of two schemes of packed weights.
    Without a floor only what the engine's own logits show is judged.
    """
    outside = []
    for place in ("early", "late"):
        distance = getattr(engine, place)
        limits = _limits(distance, getattr(floor, place), own_kernels, schemes) if floor else {"max_kl": _FINITE}
        for name, limit in limits.items():
            value = abs(getattr(distance, name))
            if not value <= limit:  # NaN is outside too
                outside.append({"place": place, "measure": name, "value": value, "limit": limit})
    floor_gap = floor.answer_gap if floor else 0.0
    gap, gap_limit = engine.answer_gap, max(FACTOR * floor_gap, PRECISIONS[precision].near_tie)
    if not gap <= gap_limit:
        outside.append({"place": "early", "measure": "answer_gap", "value": gap, "limit": gap_limit})
    if engine.past_end:
        outside.append({"place": "early", "measure": "past_end", "value": engine.past_end, "limit": 0})
    return {"ok": not outside, "words": _words(engine, outside), "outside": outside, "measures": asdict(engine)}


_FINITE = 1e6
"""No KL divergence of finite logits comes near it."""


def _limits(engine: Distance, floor: Distance, own_kernels: bool, schemes: float) -> dict[str, float]:
    """Measure → the largest value within the noise floor.

    A mean and a share are granted their sampling error. What the engine adds on top of the baseline has two floors:
    with kernels or packed weights of its own, twice the baseline's own distance, since the variances of two
    independent roundings add up; without, none at all.
    """
    square = schemes**2
    sampling = math.hypot(engine.nll_error, square * FACTOR * floor.nll_error)
    limits = {
        "mean_kl": square * FACTOR * floor.mean_kl,
        "max_kl": square * FACTOR_OF_A_MAXIMUM * floor.max_kl,
        "nll_difference": square * FACTOR * abs(floor.nll_difference) + ERRORS * sampling,
        "top1_disagreement": _largest_share(floor.top1_disagreement, floor.positions, schemes * FACTOR),
        "on_top_kl": square * FACTOR * 2 * floor.mean_kl if own_kernels else 0.0,
    }
    return {name: max(limit, SMALLEST.get(name, 0.0)) for name, limit in limits.items()}


def _largest_share(floor: float, positions: int, factor: float = FACTOR) -> float:
    """The largest share of disagreements that does not show more than `factor` times the floor's rate.

    Two counts a and b of equally many positions, whose rates are in the ratio `factor` to 1, are binomial given their
    sum: a of a + b with the probability factor ∕ (factor + 1) (J. Przyborowski and H. Wilenski, 1940). The
    share is too large where as many or more have a probability below CHANCE.
    """
    from scipy.special import bdtrc

    floor_count, probability = round(floor * positions), factor / (factor + 1.0)
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
