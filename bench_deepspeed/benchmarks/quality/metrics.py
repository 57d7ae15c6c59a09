"""The metrics of one precision of a quality check: an engine's distance from float32, with the noise floor's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from bench_deepspeed.measure.metric import Metric

from .records import Quality
from .verdict import TITLES, Measures, floor_of, measures, verdict_of

PLACE_MEANINGS = {"early": "with the question first in the context", "late": "after the other questions and answers"}
DISTANCES = {
    "top1_disagreement": "share of positions where the largest logit is another token",
    "nll_difference": "ΔNLL, nats",
    "mean_kl": "mean KL, nats",
    "max_kl": "max KL, nats",
    "on_top_kl": "KL on top, nats",
}


@dataclass(frozen=True)
class CandidateRow:
    """One precision of a check. The verdict is derived from the answers, by the rules of now."""

    quality: Quality
    candidate: dict

    @property
    def precision(self) -> str:
        return self.candidate["precision"]

    @cached_property
    def engine(self) -> Measures:
        return measures(self.candidate["engine"])

    @cached_property
    def floor(self) -> Measures | None:
        return floor_of(self.candidate, self.engine)

    @cached_property
    def verdict(self) -> dict:
        return verdict_of(self.candidate, self.quality.engine, self.quality.device, self.quality.tensor_parallel)


def rows(quality: Quality) -> list[CandidateRow]:
    """Each precision that was checked."""
    return [CandidateRow(quality, candidate) for candidate in quality.candidates]


def _answer_metric(name: str, title: str, meaning: str, value: Callable[[Measures], object]) -> Metric[CandidateRow]:
    """A measure of the engine's own answers, with the noise floor's in brackets."""

    def shown(row: CandidateRow) -> str:
        floor = _text(value(row.floor)) if row.floor else "no floor"
        return f"{_text(value(row.engine))} ({floor})"

    return Metric(name, title, "", meaning, lambda row: value(row.engine), place="summary", shown=shown)


def _text(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _distance(source: str, place: str, name: str) -> Metric[CandidateRow]:
    """One distance of the logits at one place in the context, of the "engine" or the noise "floor"."""
    is_floor = source == "floor"
    meaning = f"{DISTANCES[name]}, {PLACE_MEANINGS[place]}"
    meaning += ": the baseline in the same precision" if is_floor else ""

    def value(row: CandidateRow) -> float | None:
        measured = getattr(row, source)
        return measured and getattr(getattr(measured, place), name)

    prefix = "floor_" if is_floor else ""
    title = f"{TITLES[name]}, {place}" + (" (floor)" if is_floor else "")
    return Metric(f"{prefix}{place}_{name}", title, "", meaning, value, "lower", place="data")


METRICS: tuple[Metric[CandidateRow], ...] = (
    Metric("precision", "precision", "", "of weights and arithmetic", lambda row: row.precision, place="summary"),
    Metric(
        "baseline",
        "baseline",
        "",
        "the engine whose distance in the same precision is the noise floor",
        lambda row: row.candidate.get("baseline", "transformers"),
        place="data",
    ),
    Metric("questions", "questions", "count", "questions asked", lambda row: row.engine.questions, place="data"),
    _answer_metric(
        "exact_answers",
        "exact answers",
        "answers with all tokens equal to the reference's",
        lambda m: m.exact_matches,
    ),
    _answer_metric(
        "first_difference",
        "first difference",
        "the first token that differs in any answer; none where all are equal",
        lambda m: m.first_difference,
    ),
    _answer_metric("edit_similarity", "edit similarity", "1 − edit distance ∕ length", lambda m: m.edit_similarity),
    _answer_metric("answer_gap", TITLES["answer_gap"], "the answer gap, in logits", lambda m: m.answer_gap),
    Metric(
        "past_end",
        TITLES["past_end"],
        "count",
        "tokens behind the end of any answer, at most",
        lambda row: row.engine.past_end,
        "lower",
        place="data",
    ),
    *(
        _distance(source, place, name)
        for source in ("engine", "floor")
        for place in PLACE_MEANINGS
        for name in DISTANCES
        if not (source == "floor" and name == "on_top_kl")
    ),
    Metric(
        "within_noise_floor",
        "within the noise floor",
        "",
        "whether the engine costs no more than its precision costs the baseline; empty without a baseline",
        lambda row: row.verdict["ok"],
        place="data",
    ),
    Metric("verdict", "verdict", "", "it in words", lambda row: row.verdict["words"], place="summary"),
)
