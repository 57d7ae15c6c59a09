"""The ground truth: Transformers in float32, computed once and cached next to the weights.

The cache's name is a digest of all that the answer depends on, so a change of any of it is a new
reference; a cache that was cut or altered is computed again. A question's logits lie in a file of their
own, so that memory does not grow with the number of questions.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench_deepspeed.benchmarks.common.questions import QuestionSet
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines.base import Engine, Load
from bench_deepspeed.weights import store
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.state import Worker

from . import chat

PREFIX_TOKENS = 1024
"""Before a question at its late place, at most, where nobody asks for more: a CPU takes a second for as many."""
ANSWERS = "answers.json"
PLACES = ("early", "late")


@dataclass(frozen=True)
class Reference:
    """The float32 answers to a set of questions: their folder, and of each question its longest context and text."""

    folder: Path
    longest_ids: list[list[int]]
    texts: list[str]


def prepare_reference(
    worker: Worker, load: Load, digest: str, questions: QuestionSet, late_tokens: int | None = None
) -> Reference:
    """Have the float32 answers to the questions, from the cache or computed by the worker.

    `load` is how the engine is loaded where they are computed; the prompts are the questions'. `digest` is that of
    the weights; `late_tokens`: see `compute`. Raises UsageError for a question that is too long, and MachineError for a
    full disk.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer

    tasks.require_device(load.device)
    context_tokens = AutoConfig.from_pretrained(load.folder).max_position_embeddings
    prompts = encode_questions(AutoTokenizer.from_pretrained(load.folder), questions, context_tokens)
    require_room(prompts, questions.max_tokens, late_tokens, context_tokens)
    device = torch.cuda.get_device_name() if load.device == "cuda" else "cpu"
    name = name_of(load.folder, digest, prompts, questions.max_tokens, device, late_tokens=late_tokens)
    folder = place_of(name, load.folder.parent, load.log_folder)

    def load_engine() -> Engine:
        tasks.load(worker, "transformers", replace(load, prompts=prompts))
        return worker.engine

    ensure(folder, prompts, questions.max_tokens, load_engine, worker.progress, late_tokens=late_tokens)
    answers = read_answers(folder)
    longest_ids = [contexts(answer)["late"] for answer in answers]
    return Reference(folder, longest_ids, [answer["text"] for answer in answers])


def require_room(prompts: list[list[int]], max_tokens: int, late_tokens: int | None, context_tokens: int) -> None:
    """Raise UsageError for a question that the context cannot hold behind so many tokens."""
    longest = max(map(len, prompts))
    if late_tokens and late_tokens + longest + max_tokens > context_tokens:
        raise UsageError(
            f"--late_tokens {late_tokens}: a question of {longest} tokens and an answer of {max_tokens} do not fit the "
            f"model's context of {context_tokens} behind them: {context_tokens - longest - max_tokens} at most do"
        )


def name_of(
    model: Path, digest: str, prompts: list[list[int]], max_tokens: int, device: str, *, late_tokens: int | None = None
) -> str:
    """The name of the reference for a model's folder, its weights' digest and the prompts' ids on this machine.

    `device` names what computes it: "cpu" or the GPU's name.
    """
    from torch import __version__ as torch_version
    from transformers import __version__ as transformers_version

    prefix = ["filled", late_tokens] if late_tokens else PREFIX_TOKENS
    request = [prompts, max_tokens, prefix, store.sha256_of(model / "config.json")]
    key = json.dumps([digest, *request, device, torch_version, transformers_version])
    return f"reference-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def place_of(name: str, cache: Path, run_folder: Path) -> Path:
    """Where a reference lies: in the cache, or, where it is not and nothing can be written, in the run's folder."""
    cached = cache / name
    return cached if os.access(cache, os.W_OK) or not store.damage_of(cached) else run_folder / name


def encode_questions(tokenizer, questions: QuestionSet, context_tokens: int) -> list[list[int]]:
    """The questions' token ids. Raises UsageError for one that the context cannot hold with its answer."""
    prompts = [chat.encode(tokenizer, questions.system_prompt, prompt) for prompt in questions.prompts]
    for number, ids in enumerate(prompts, start=1):
        if len(ids) + questions.max_tokens > context_tokens:
            raise UsageError(
                f"question {number} of --questions has {len(ids)} tokens and {questions.max_tokens} are to follow, "
                f"but the model's context is {context_tokens}: shorten it, or lower the file's max_tokens"
            )
    return prompts


def ensure(
    folder: Path,
    prompts: list[list[int]],
    max_tokens: int,
    load: Callable[[], Engine],
    progress: Progress,
    *,
    late_tokens: int | None = None,
) -> None:
    """Compute the reference where it is not there, whole, already.

    `load` returns the float32 engine. Raises MachineError for a full disk.
    """
    if not store.damage_of(folder):
        return
    with store.locked(folder.parent, progress):
        if store.damage_of(folder):  # another run may have computed it while this one waited
            engine = load()
            store.require_disk(folder, _size_bytes(len(prompts), max_tokens, len(engine.tokenizer)))
            compute(engine, prompts, max_tokens, folder, progress, late_tokens=late_tokens)


def _size_bytes(questions: int, max_tokens: int, vocabulary: int) -> int:
    """The most that a reference takes on the disk: float32 logits, each question twice."""
    return 4 * len(PLACES) * questions * max_tokens * vocabulary


def compute(
    engine: Engine,
    prompts: list[list[int]],
    max_tokens: int,
    folder: Path,
    progress: Progress,
    *,
    late_tokens: int | None = None,
) -> None:
    """Answer the prompts with the float32 engine; keep the tokens and the logits behind them.

    The late place of a question is after the others with their answers; with `late_tokens` after so many tokens of
    these, over and over.
    """
    partial = store.partial_of(folder)
    shutil.rmtree(partial, ignore_errors=True)
    steps = 2 * len(prompts)
    with store.disk_errors(folder):
        partial.mkdir(parents=True)
        answers = []
        for number, ids in enumerate(prompts):
            progress("float32 reference", number, steps)
            answer = engine.answer(ids, max_tokens)
            answers.append({"prompt_ids": ids, "answer_ids": answer, "text": text_of(engine.tokenizer, answer)})
        for number, entry in enumerate(answers):
            progress("float32 reference", len(prompts) + number, steps)
            room = engine.context_tokens - len(entry["prompt_ids"]) - max_tokens
            prefix = _prefix(answers, number)
            if late_tokens:
                prefix *= 1 + late_tokens // len(prefix)
            entry["prefix_ids"] = prefix[max(0, len(prefix) - min(room, late_tokens or PREFIX_TOKENS)) :]
            forced = {place: engine.logits(ids, entry["answer_ids"]) for place, ids in contexts(entry).items()}
            save_logits(forced, partial, number)
        (partial / ANSWERS).write_text(json.dumps(answers))
        progress("float32 reference", steps, steps)
        store.publish(folder, {"questions": len(prompts)}, progress)


def contexts(answer: dict) -> dict[str, list[int]]:
    """The two places where a question is asked: at the start of the context, and after its prefix."""
    early = answer["prompt_ids"]
    return dict(zip(PLACES, (early, answer["prefix_ids"] + early), strict=True))


def _prefix(answers: list[dict], number: int) -> list[int]:
    """The other questions and their answers, as what came before in the context.

    Faults of position, as in the rotary embedding, grow with it: a few dozen tokens do not show them. A
    single question comes after itself.
    """
    others = [a for i, a in enumerate(answers) if i != number] or answers
    return [token for a in others for token in a["prompt_ids"] + a["answer_ids"]]


def save_logits(logits: dict, folder: Path, number: int) -> None:
    """Keep one question's logits: place → (answer tokens, vocabulary) float32."""
    from safetensors.torch import save_file

    save_file(logits, folder / f"logits-{number}.safetensors")


def read_logits(folder: Path, number: int) -> dict:
    """What `save_logits` kept."""
    from safetensors.torch import load_file

    return load_file(folder / f"logits-{number}.safetensors")


def read_answers(folder: Path) -> list[dict]:
    """The answers: a dictionary a question, with `prompt_ids`, `prefix_ids`, `answer_ids` and `text`."""
    return json.loads((folder / ANSWERS).read_text())


def text_of(tokenizer, ids: list[int]) -> str:
    """An answer as a reader sees it: without special tokens."""
    return tokenizer.decode(ids, skip_special_tokens=True).strip()
