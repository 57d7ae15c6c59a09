"""One engine's answers against the reference's; runs in the engine's worker process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_deepspeed.engines.base import Engine
from bench_deepspeed.weights import store
from bench_deepspeed.worker.state import Worker

from . import agreement, reference


@dataclass(frozen=True)
class Task:
    """The reference's folder and the longest answer.

    `keep`: a folder where the engine's logits go. `floor`: the folder where the baseline in the same
    precision kept its own, against which the engine's own addition is measured; None: the reference's. `late`: the
    engine answers for itself at the late place as well.
    """

    folder: Path
    max_tokens: int
    keep: Path | None = None
    floor: Path | None = None
    late: bool = False


def assess(worker: Worker, task: Task) -> list[dict[str, Any]]:
    """Ask the loaded engine every question of a reference folder. Returns a dictionary a question."""
    engine = worker.engine
    answers = reference.read_answers(task.folder)
    label = f"{engine.name} against float32"
    results = []
    for number, expected in enumerate(answers):
        worker.progress(label, number, len(answers))
        results.append(_assess_question(engine, task, number, expected))
    worker.progress(label, len(answers), len(answers))
    return results


def _assess_question(engine: Engine, task: Task, number: int, expected: dict) -> dict:
    tokens = expected["answer_ids"]
    answer = engine.answer(expected["prompt_ids"], task.max_tokens)
    logits = {place: engine.logits(ids, tokens) for place, ids in reference.contexts(expected).items()}
    if task.keep:
        with store.disk_errors(task.keep):
            reference.save_logits(logits, task.keep, number)
    truth = reference.read_logits(task.folder, number)
    # A floor, which keeps its logits and has none below it, is its own neighbour: nothing is on top of it.
    is_floor = task.keep and not task.floor
    neighbour = logits if is_floor else reference.read_logits(task.floor or task.folder, number)
    result = {"text": reference.text_of(engine.tokenizer, answer), "tokens": len(answer)}
    result |= agreement.free_running(tokens, answer)
    eos = engine.tokenizer.eos_token_id
    result["answer_gap"] = agreement.answer_gap(logits["early"], tokens, answer, eos)
    if task.late:
        after = engine.answer(reference.contexts(expected)["late"], task.max_tokens)
        result["answer_gap"] = max(
            result["answer_gap"], agreement.answer_gap(logits["late"], tokens, after[: len(tokens)], eos)
        )
    result["past_end"] = agreement.past_end(answer, task.max_tokens, eos)
    for place in reference.PLACES:
        result[place] = agreement.teacher_forced(truth[place], logits[place], tokens)
        result[place]["on_top_kl"] = agreement.teacher_forced(neighbour[place], logits[place], tokens)["kl"]
    return result
