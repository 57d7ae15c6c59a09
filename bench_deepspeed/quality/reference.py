"""The ground truth: Transformers in float32, computed once and cached beside the weights.

The cache's name is a digest of all that the answer depends on, so a change of any of it is a new
reference; a cache that was cut or altered is computed anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from ..engines.base import Engine, Progress
from ..weights import store
from . import chat
from .questions import QuestionSet

PREFIX_TOKENS = 1024  # far enough for faults of position, short enough for a CPU
ANSWERS, LOGITS = "answers.json", "logits.safetensors"


def folder_of(model_folder: Path, digest: str, questions: QuestionSet, device: str) -> Path:
    """Where the reference for a model's digest and a question set lies on this machine."""
    from transformers import __version__ as transformers_version

    key = [digest, questions.system_prompt, questions.max_tokens, questions.prompts, device, transformers_version]
    return model_folder / f"reference-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}"


def compute(engine: Engine, tokenizer, questions: QuestionSet, folder: Path, progress: Progress) -> None:
    """Answer the questions with the float32 engine; keep the tokens and the logits behind them."""
    from safetensors.torch import save_file

    partial = store.partial_of(folder)
    shutil.rmtree(partial, ignore_errors=True)
    logits, answers = {}, []
    count = len(questions.prompts)
    with store.disk_errors(folder):
        partial.mkdir(parents=True)
        for number, prompt in enumerate(questions.prompts):
            progress("float32 reference", number, count)
            ids = chat.encode(tokenizer, questions.system_prompt, prompt)
            answer = engine.answer(ids, questions.max_tokens)
            answers.append({"prompt_ids": ids, "answer_ids": answer, "text": text_of(tokenizer, answer)})
        for number, entry in enumerate(answers):
            entry["prefix_ids"] = _prefix(answers, number)
            for place, ids in contexts(entry).items():
                logits[logits_name(number, place)] = engine.logits(ids, entry["answer_ids"])
        progress("float32 reference", count, count)
        save_file(logits, partial / LOGITS)
        (partial / ANSWERS).write_text(json.dumps(answers))
        store.publish(folder, {"questions": count}, progress)


def contexts(answer: dict) -> dict[str, list[int]]:
    """The two places where a question is asked: at the start of the context, and after its prefix."""
    return {"early": answer["prompt_ids"], "late": answer["prefix_ids"] + answer["prompt_ids"]}


def logits_name(number: int, place: str) -> str:
    """The name of a question's logits in the cache."""
    return f"{number}-{place}"


def _prefix(answers: list[dict], number: int) -> list[int]:
    """The other questions and their answers, as what came before in the context; PREFIX_TOKENS at most.

    Faults of position, as in the rotary embedding, grow with it: a few dozen tokens do not show them. A
    single question comes after itself.
    """
    others = [a for i, a in enumerate(answers) if i != number] or answers
    ids = [token for a in others for token in a["prompt_ids"] + a["answer_ids"]]
    return ids[-PREFIX_TOKENS:]


def read(folder: Path) -> tuple[list[dict], dict]:
    """The answers, and the logits by the question's number, each (answer tokens, vocabulary) float32."""
    from safetensors.torch import load_file

    return json.loads((folder / ANSWERS).read_text()), load_file(folder / LOGITS)


def text_of(tokenizer, ids: list[int]) -> str:
    """An answer as a reader sees it: without special tokens."""
    return tokenizer.decode(ids, skip_special_tokens=True).strip()
