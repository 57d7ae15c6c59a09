"""The questions of a quality check: the owner's five, or a team's own.

A JSON file: {"system_prompt": text, "max_tokens": number, "questions": [{"prompt": text,
"published": {model: {precision: text}}}]}; only "questions" with their prompts must be there. Any other
file is read as text, one prompt a line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.core.errors import UsageError

MAX_TOKENS = 120
FIELDS = {"system_prompt": str, "max_tokens": int, "questions": list}
QUESTION_FIELDS = {"prompt", "published"}
IN_WORDS = {str: "a text", int: "a whole number", list: "a list"}


@dataclass(frozen=True)
class QuestionSet:
    """`published` holds, a question, the answers once published: model → precision → text."""

    system_prompt: str
    max_tokens: int
    prompts: list[str]
    published: list[dict]


def load(path: Path, flag: str = "--questions") -> QuestionSet:
    """Read a questions file. Raises UsageError with the flag that named it, the file and the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{flag} {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{flag} {path} cannot be read: {error}") from error
    if path.suffix != ".json":
        prompts = [line.strip() for line in text.splitlines() if line.strip()]
        if not prompts:
            raise UsageError(f"{flag} {path} has no prompt: write one a line")
        return QuestionSet("", MAX_TOKENS, prompts, [{}] * len(prompts))
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{flag} {path} is not JSON: {error}") from error
    questions = _checked(data, text, f"{flag} {path}")
    for number, prompt in enumerate([questions.system_prompt, *questions.prompts]):
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            which = f"question {number}" if number else '"system_prompt"'
            raise UsageError(f"{flag} {path}: {which} holds half a character (a lone surrogate)")
    return questions


def _checked(data: object, text: str, named: str) -> QuestionSet:
    def fail(problem: str, *place: str | int) -> None:
        raise UsageError(f"{named}, line {_line(text, place)}: {problem}")

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


def _line(text: str, place: tuple[str | int, ...]) -> int:
    """The line on which a value of a JSON text begins, or the nearest value around it that there is.

    JSON is YAML, but for tabs and other characters that are not printable; and PyYAML remembers lines, which
    json does not.
    """
    import yaml

    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    try:
        node = yaml.compose(printable, Loader=yaml.SafeLoader)
    except yaml.YAMLError:  # what JSON allows and YAML does not, such as a key of more than 1,024 characters
        return 1
    for step in place:
        if isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == step), None)
        else:
            inner = node.value[step] if isinstance(node, yaml.SequenceNode) else None
        if inner is None:
            break
        node = inner
    return node.start_mark.line + 1
