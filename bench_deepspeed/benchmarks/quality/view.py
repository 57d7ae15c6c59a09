"""The quality check as tables: the numbers, and the answers side by side."""

from __future__ import annotations

import re

from bench_deepspeed.engines import engine_class
from bench_deepspeed.report.tables import table

from .questions import QuestionSet
from .verdict import TITLES, Distance, Measures, floor_of, measures, verdict_of


def quality_rows(quality: dict) -> list[dict[str, str]]:
    """Column title → cell, two rows a precision: "engine (floor)" for each measure, early and late.

    The verdict is made anew from the answers, by the rules of now.
    """
    own_kernels = engine_class(quality["engine"]).own_kernels
    rows = []
    for candidate in quality["candidates"]:
        engine = measures(candidate["engine"])
        floor = floor_of(candidate["floor"], engine)
        words = verdict_of(candidate, own_kernels)["words"]
        early = {"precision": candidate["precision"], **_free_running(engine, floor)}
        rows.append({**early, "place": "early", **_forced(engine.early, floor.early), "verdict": words})
        rows.append({**dict.fromkeys(early, ""), "place": "late", **_forced(engine.late, floor.late), "verdict": ""})
    return rows


def _free_running(engine: Measures, floor: Measures) -> dict[str, str]:
    def pair(show) -> str:
        return f"{show(engine)} ({show(floor)})"

    return {
        "exact answers": pair(lambda m: f"{m.exact_matches} of {m.questions}"),
        "first difference": pair(lambda m: "none" if m.first_difference is None else f"token {m.first_difference}"),
        "edit similarity": pair(lambda m: f"{m.edit_similarity:.3f}"),
        TITLES["answer_gap"]: pair(lambda m: f"{m.answer_gap:.2g}"),
    }


def _forced(engine: Distance, floor: Distance) -> dict[str, str]:
    def pair(name: str) -> str:
        return f"{getattr(engine, name):.2g} ({getattr(floor, name):.2g})"

    return {
        "top-1 agreement": f"{1.0 - engine.top1_disagreement:.4f} ({1.0 - floor.top1_disagreement:.4f})",
        **{TITLES[name]: pair(name) for name in ("nll_difference", "mean_kl", "max_kl")},
        TITLES["on_top_kl"]: f"{engine.on_top_kl:.2g}",
    }


def markdown(quality: dict) -> str:
    """The whole check as a document of two tables, and where it comes from."""
    facts = quality["environment"]
    packages = ", ".join(f"{name} {facts['packages'][name]}" for name in ("torch", "transformers", "deepspeed"))
    machine = facts.get("gpu_used") or facts["cpu"]
    origin = f"{quality['started_at']}, {machine}; {packages}; weights {quality['model']['digest'][:12]}"
    unfinished = "" if quality["status"] == "complete" else f" **{quality['status'].capitalize()}: not all is here.**"
    title = f"# Quality of {quality['model']['title']}: {quality['engine']} on {quality['device']}"
    return f"{title}\n\n{origin}; suite commit {facts['commit']}.{unfinished}\n\n{tables(quality)}\n"


def tables(quality: dict) -> str:
    """The numbers, then one row a question: each precision's answer, the published, and the ground truth last."""
    return f"{intro(quality)}:\n\n{table(quality_rows(quality))}\n\n{_answers(quality)}"


def intro(quality: dict) -> str:
    """What the numbers are, in one line."""
    return (
        f"Distance from Transformers in float32, computed on {quality['reference_device']} (in brackets: Transformers "
        f"in the same precision, the noise floor), {quality['max_tokens']} new tokens, greedy"
    )


def _answers(quality: dict) -> str:
    titles = _published_titles([question["published"] for question in quality["questions"]])
    rows = []
    for number, question in enumerate(quality["questions"]):
        row = {"question": _cell(question["prompt"])}
        for candidate in quality["candidates"]:
            title = f"{quality['engine']} {candidate['precision']}"
            row[title] = _cell(candidate["engine"][number]["text"])
        row |= _published(question["published"], titles)
        row["Transformers float32 (ground truth)"] = _cell(question["reference"])
        rows.append(row)
    return table(rows)


def published_answers(asked: QuestionSet, model: str) -> str | None:
    """The answers once published for a model, side by side; None where there are none."""
    published = [answers.get(model, {}) for answers in asked.published]
    titles = _published_titles(published)
    pairs = zip(asked.prompts, published, strict=True)
    rows = [{"question": _cell(prompt)} | _published(answers, titles) for prompt, answers in pairs]
    return table(rows) if titles else None


def _published_titles(published: list[dict[str, str]]) -> list[str]:
    """The precisions of all questions: every row has the same columns, in the same order."""
    return list(dict.fromkeys(precision for answers in published for precision in answers))


def _published(answers: dict[str, str], titles: list[str]) -> dict[str, str]:
    return {f"published {precision}": _cell(answers.get(precision, "")) for precision in titles}


def _cell(text: str) -> str:
    """Text as it is, in one cell of a Markdown table."""
    return re.sub(r"([\\`*_|<&])", r"\\\1", " ".join(text.split()))
