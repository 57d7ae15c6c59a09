"""Real prompts from a file: text, JSON as for --questions, or conversations of ShareGPT. The standard library alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.core import user_files
from bench_deepspeed.core.user_files import Entry, UserFile

USERS, MODELS = ("human", "user"), ("gpt", "assistant", "chatgpt", "bing", "bard")
"""Who says a message of a conversation, as ShareGPT's files name them."""


@dataclass(frozen=True)
class Prompts:
    """Prompts, and the answers that set how many tokens are requested; None where --max_tokens does."""

    prompts: list[str]
    answers: list[str] | None = None


def read(path: Path) -> Prompts:
    """The prompts of a file; of each conversation the first message of the user that a model answers.

    Raises UsageError, with the line, for a file that has none.
    """
    file = user_files.read(path, "--prompts")
    entries = file.entries
    if file.format == "JSON":
        entries = file.elements() if isinstance(entries[0].value, list) else []
    if not any(isinstance(entry.value, dict) and "conversations" in entry.value for entry in entries):
        return Prompts(questions.load(path, "--prompts").prompts)
    pairs = [pair for entry in entries if (pair := _first_turn(file, entry))]
    if not pairs:
        raise file.error(1, "no conversation has a message of a user that a model answers")
    return Prompts([prompt for prompt, _ in pairs], [answer for _, answer in pairs])


def _first_turn(file: UserFile, entry: Entry) -> tuple[str, str] | None:
    """The first message of a user and the answer behind it; None for a conversation without."""
    messages = entry.value.get("conversations") if isinstance(entry.value, dict) else None
    if not isinstance(messages, list):
        raise file.error(
            entry.line, 'a conversation is expected: {"conversations": [{"from": "human", "value": …}, …]}'
        )
    said = [(one.get("from"), one.get("value")) if isinstance(one, dict) else (None, None) for one in messages]
    for (who, prompt), (then, answer) in zip(said, said[1:], strict=False):
        texts = isinstance(prompt, str) and isinstance(answer, str) and prompt.strip() and answer.strip()
        if texts and who in USERS and then in MODELS:
            return prompt.strip(), answer.strip()
    return None
