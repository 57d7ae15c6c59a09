"""The questions of a quality check: the owner's five, or a team's own.

JSON: {"system_prompt": text, "max_tokens": number, "questions": [{"prompt": text, "published": {model: {precision:
text}}}]}, of which only "questions" with their prompts are required. Or prompts alone: a list in JSON, JSON lines, CSV
with a column "prompt", or a text with one prompt a line.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.core import user_files
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.user_files import Entry, UserFile

from .scenario import require_context

MAX_TOKENS = 120
FIELDS = {"system_prompt": str, "max_tokens": int, "questions": list}
QUESTION_FIELDS = {"prompt", "published"}
FORMATS = "prompts are one a line of text, or a `prompt` each in JSON, JSON lines or CSV"
IN_WORDS = {str: "a text", int: "a whole number", list: "a list"}


@dataclass(frozen=True)
class QuestionSet:
    """`published` holds, a question, the answers once published: model → precision → text."""

    system_prompt: str
    max_tokens: int
    prompts: list[str]
    published: list[dict]


def require_askable(options: argparse.Namespace, model: str, engine: str) -> None:
    """Refuse a file of questions that cannot be read, and a context that cannot hold them. Raises UsageError."""
    questions = load(options.questions)
    require_context(model, engine, options.late_tokens or 1, questions.max_tokens)


def load(path: Path, flag: str = "--questions") -> QuestionSet:
    """Read a file of questions or prompts. Raises UsageError with the flag that named it, the file and the line."""
    file = user_files.read(path, flag)
    data = file.entries[0].value if file.entries else None
    if isinstance(data, dict) and (file.format == "JSON" or "questions" in data):
        questions = _checked(data, file)
    else:
        prompts = [_prompt(file, entry) for entry in file.elements()]
        if not prompts:
            raise UsageError(f"{file.named} has no prompt: write one a line")
        questions = QuestionSet("", MAX_TOKENS, prompts, [{}] * len(prompts))
    for number, prompt in enumerate([questions.system_prompt, *questions.prompts]):
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            which = f"question {number}" if number else '"system_prompt"'
            raise UsageError(f"{file.named}: {which} has half a character (a lone surrogate): save the file as UTF-8")
    return questions


def _prompt(file: UserFile, entry: Entry) -> str:
    """The prompt that an entry is or has. Raises UsageError where there is none, or an empty one."""
    value = entry.value
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str) or not prompt.strip():
        fields = f"; it has {', '.join(map(str, value))}"[:100] if isinstance(value, dict) else ""
        raise file.error(entry.line, f"no prompt{fields}; {FORMATS}")
    return prompt.strip()


def _checked(data: object, file: UserFile) -> QuestionSet:
    def fail(problem: str, *place: str | int) -> None:
        raise file.error(file.line_of(*place), problem)

    if not isinstance(data, dict) or "questions" not in data:
        fail('an object with "questions" is expected')
    for key, value in data.items():
        if key not in FIELDS:
            fail(f'unknown field "{key}": there are {", ".join(FIELDS)}', key)
        if not isinstance(value, FIELDS[key]) or isinstance(value, bool):
            fail(f'"{key}" must be {IN_WORDS[FIELDS[key]]}', key)
    if data.get("max_tokens", 1) < 1:
        fail('"max_tokens" must be at least 1', "max_tokens")
    if not data["questions"]:
        fail('"questions" is empty', "questions")
    for number, question in enumerate(data["questions"]):
        prompt = question.get("prompt") if isinstance(question, dict) else None
        if not isinstance(prompt, str) or not prompt.strip():
            problem = f'question {number + 1} must be an object with a "prompt" that is not empty'
            fail(problem, "questions", number, "prompt")
        for key in question.keys() - QUESTION_FIELDS:
            fail(f'question {number + 1}: unknown field "{key}": there are prompt, published', "questions", number, key)
        if not _is_published(question.get("published", {})):
            problem = f'question {number + 1}: "published" must be {{model: {{precision: text}}}}'
            fail(problem, "questions", number, "published")
    return QuestionSet(
        data.get("system_prompt", ""),
        data.get("max_tokens", MAX_TOKENS),
        [question["prompt"] for question in data["questions"]],
        [question.get("published", {}) for question in data["questions"]],
    )


def _is_published(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(answers, dict) and all(isinstance(text, str) for text in answers.values())
        for answers in value.values()
    )
