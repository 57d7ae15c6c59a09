"""The quality check as tables: the numbers, and the answers side by side."""

from __future__ import annotations

from tabulate import tabulate

from ..quality.questions import QuestionSet
from ..quality.verdict import floor_of, measures


def quality_figures(candidate: dict) -> dict[str, str]:
    """Column title → cell of one precision: "engine (floor)" for each measure."""
    engine = measures(candidate["engine"])
    floor = floor_of(candidate["floor"], engine)

    def pair(show) -> str:
        return f"{show(engine)} ({show(floor)})"

    return {
        "precision": candidate["precision"],
        "exact answers": pair(lambda m: f"{m.exact_matches} of {m.questions}"),
        "first difference": pair(lambda m: "none" if m.first_difference is None else f"token {m.first_difference}"),
        "edit similarity": pair(lambda m: f"{m.edit_similarity:.3f}"),
        "top-1 agreement": pair(lambda m: f"{1.0 - m.early.top1_disagreement:.4f}"),
        "ΔNLL": pair(lambda m: f"{m.early.nll_difference:.2g}"),
        "mean KL": pair(lambda m: f"{m.early.mean_kl:.2g}"),
        "max KL": pair(lambda m: f"{m.early.max_kl:.2g}"),
        "KL on top": f"{engine.early.on_top_kl:.2g}",
        "late mean KL": pair(lambda m: f"{m.late.mean_kl:.2g}"),
        "late max KL": pair(lambda m: f"{m.late.max_kl:.2g}"),
        "answer gap": pair(lambda m: f"{m.answer_gap:.2g}"),
        "verdict": candidate["verdict"]["words"],
    }


def markdown(quality: dict) -> str:
    """The whole check as a document of two tables."""
    return (
        f"# Quality of {quality['model']['title']}: {quality['engine']} on {quality['device']}\n\n{tables(quality)}\n"
    )


def tables(quality: dict) -> str:
    """The numbers, then one row a question: each precision's answer, the ground truth and the published."""
    numbers = tabulate(
        [quality_figures(c) for c in quality["candidates"]], headers="keys", tablefmt="github", disable_numparse=True
    )
    return (
        f"Distance from Transformers in float32 (in brackets: Transformers in the same precision, the noise floor), "
        f"{quality['max_tokens']} new tokens, greedy:\n\n{numbers}\n\n{_answers(quality)}"
    )


def _answers(quality: dict) -> str:
    rows = []
    for number, question in enumerate(quality["questions"]):
        row = {"question": _cell(question["prompt"])}
        for candidate in quality["candidates"]:
            title = f"{quality['engine']} {candidate['precision']}"
            row[title] = _cell(candidate["engine"][number]["text"])
        row |= _published(question["published"])
        row["Transformers float32 (ground truth)"] = _cell(question["reference"])
        rows.append(row)
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def published_answers(asked: QuestionSet, model: str) -> str | None:
    """The answers once published for a model, side by side; None where there are none."""
    pairs = zip(asked.prompts, asked.published, strict=True)
    rows = [{"question": _cell(prompt)} | _published(published.get(model, {})) for prompt, published in pairs]
    if all(len(row) == 1 for row in rows):
        return None
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def _published(answers: dict[str, str]) -> dict[str, str]:
    return {f"published {precision}": _cell(text) for precision, text in answers.items()}


def _cell(text: str) -> str:
    """Text that keeps a Markdown table whole."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
