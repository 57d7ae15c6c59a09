"""From the numbers to a word: does the engine cost more than its precision costs anyone?"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass

# An engine with kernels of its own rounds differently from Transformers in the same precision, so its
# distance from float32 scatters around the floor. The factor is a choice; docs/methodology.md says so.
FACTOR = 2.0


@dataclass(frozen=True)
class Distance:
    """Distance from the float32 reference over all questions' positions; zero for the reference itself."""

    mean_kl: float
    max_kl: float
    nll_difference: float
    top1_disagreement: float
    on_top_kl: float
    """Mean KL divergence from Transformers in the same precision: what the engine adds on top of it."""


# What two orders of summation in float32 leave: smaller distances than these are none.
SMALLEST = Distance(mean_kl=1e-7, max_kl=1e-5, nll_difference=1e-4, top1_disagreement=0.005, on_top_kl=1e-7)


@dataclass(frozen=True)
class Measures:
    """One engine in one precision: its own answers, and its logits on the reference's tokens.

    `early`: each question at the start of the context; `late`: after the other questions and answers.
    """

    questions: int
    exact_matches: int
    first_difference: int | None
    edit_similarity: float
    early: Distance
    late: Distance


def measures(answers: list[dict]) -> Measures:
    """Pool an engine's answers: distances over all positions, edit similarity over questions."""
    differences = [a["first_difference"] for a in answers if a["first_difference"] is not None]
    return Measures(
        questions=len(answers),
        exact_matches=sum(a["exact_match"] for a in answers),
        first_difference=min(differences, default=None),
        edit_similarity=statistics.fmean(a["edit_similarity"] for a in answers),
        early=_distance([a["early"] for a in answers]),
        late=_distance([a["late"] for a in answers]),
    )


def _distance(forced: list[dict]) -> Distance:
    kl = [value for f in forced for value in f["kl"]]
    agreeing = sum(f["top1_agreement"] * len(f["kl"]) for f in forced)
    return Distance(
        mean_kl=statistics.fmean(kl),
        max_kl=max(kl),
        nll_difference=statistics.fmean(value for f in forced for value in f["nll_differences"]),
        top1_disagreement=1.0 - agreeing / len(kl),
        on_top_kl=statistics.fmean(value for f in forced for value in f["on_top_kl"]),
    )


def floor_of(answers: list[dict] | None, questions: int) -> Measures:
    """The noise floor: Transformers' measures; with None, the reference's own, which are perfect."""
    if answers is not None:
        return measures(answers)
    none = Distance(0.0, 0.0, 0.0, 0.0, 0.0)
    return Measures(questions, questions, None, 1.0, none, none)


def judge(engine: Measures, floor: Measures, own_kernels: bool) -> dict:
    """The verdict: `ok`, the words, and each measure that is outside with its figures.

    A distance is outside the noise floor when it is larger than FACTOR times what Transformers in the same
    precision shows, and larger than what float32 sums leave. What the engine adds on top has two floors:
    with kernels of its own, twice Transformers' own distance, since the variances of two independent
    roundings add up; without, none at all.
    """
    outside = []
    for place in ("early", "late"):
        distance, base = getattr(engine, place), getattr(floor, place)
        floors = asdict(base) | {"on_top_kl": 2 * base.mean_kl if own_kernels else 0.0}
        for name, floor_value in floors.items():
            value = abs(getattr(distance, name))
            if not value <= max(FACTOR * abs(floor_value), getattr(SMALLEST, name)):  # NaN is outside too
                outside.append({"place": place, "measure": name, "value": value, "floor": abs(floor_value)})
    return {"ok": not outside, "words": _words(engine, outside), "outside": outside, "measures": asdict(engine)}


def _words(engine: Measures, outside: list[dict]) -> str:
    if outside:
        worst = max(outside, key=lambda o: o["value"] / max(o["floor"], getattr(SMALLEST, o["measure"])))
        more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
        figures = f"{worst['place']} {worst['measure']} {worst['value']:.3g} against a floor of {worst['floor']:.3g}"
        return f"outside the noise floor: {figures}{more}"
    if engine.early.max_kl == engine.late.max_kl == 0.0 and engine.exact_matches == engine.questions:
        return "identical to float32"
    return "within the noise floor"
