"""One engine's answers against the reference's; runs in the engine's worker process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..engines.base import Engine, Progress
from . import agreement, reference


@dataclass(frozen=True)
class Task:
    """The reference's folder, the longest answer, and where logits are kept or found."""

    folder: Path
    max_tokens: int
    keep: Path | None
    beside: Path | None


def assess(engine: Engine, task: Task, progress: Progress) -> list[dict]:
    """Ask the engine every question of a reference folder. Returns a dictionary a question.

    `keep`: write the engine's logits there. `beside`: the logits that Transformers in the same precision
    kept, to tell what the engine adds on top; None: the reference's own.
    """
    from safetensors.torch import load_file, save_file

    answers, truth = reference.read(task.folder)
    same_precision = load_file(task.beside) if task.beside else truth
    label = f"{engine.name} against float32"
    results, kept = [], {}
    for number, expected in enumerate(answers):
        progress(label, number, len(answers))
        tokens = expected["answer_ids"]
        answer = engine.answer(expected["prompt_ids"], task.max_tokens)
        result = {"text": reference.text_of(engine.tokenizer, answer), "tokens": len(answer)}
        result |= agreement.free_running(tokens, answer)
        for place, ids in reference.contexts(expected).items():
            name = reference.logits_name(number, place)
            kept[name] = engine.logits(ids, tokens)
            result[place] = agreement.teacher_forced(truth[name], kept[name], tokens)
            neighbour = kept if task.keep else same_precision  # the floor, which keeps its logits, is its own
            result[place]["on_top_kl"] = agreement.teacher_forced(neighbour[name], kept[name], tokens)["kl"]
        results.append(result)
    progress(label, len(answers), len(answers))
    if task.keep:
        save_file(kept, task.keep)
    return results
