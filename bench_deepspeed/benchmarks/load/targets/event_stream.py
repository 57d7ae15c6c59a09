"""What a server sent in answer to one streamed request of OpenAI's API: chunks of text, each with its time.

Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): each line `data: ` holds a JSON
object, the last one `[DONE]`. A chunk is an event with text or token ids; the first event of a chat has only a role and
is none, nor is an event with only a finish reason or only `usage`. The bytes are parsed after the last of them has
come, so that parsing delays no time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench_deepspeed.core.errors import DAMAGE
from bench_deepspeed.core.text import one_line
from bench_deepspeed.engines.base import Streamed

from .base import RequestError

Reads = Sequence[tuple[float, bytes]]
"""Bytes as they were received, each piece with its time."""
TEXTS = ("content", "reasoning_content", "reasoning")
"""Fields of a chat's delta that hold text of the answer; servers name that of a reasoning model differently."""
DONE: dict[str, Any] = {}
"""What the last event, `[DONE]`, is read as."""
SHOWN = 120
"""Characters of a server's own message that an error repeats."""


@dataclass(frozen=True)
class Answer(Streamed):
    """An answer; `times` are those of its chunks, and `tokens` its token ids, or the words of its text without any.

    `usage_tokens`, `prompt_tokens` and `token_ids` (their number) are None where the server did not give them.
    """

    text: str
    usage_tokens: int | None
    prompt_tokens: int | None
    token_ids: int | None


def answer_of(reads: Reads) -> Answer:
    """The answer of a stream. Raises RequestError for one that is cut, empty, or no stream of completions."""
    try:
        return _answer(reads)
    except DAMAGE as error:
        raise RequestError(f"an event of another form: {one_line(repr(error))[:SHOWN]}") from error


def _answer(reads: Reads) -> Answer:
    times: list[float] = []
    texts: list[str] = []
    ids: list[int] = []
    usage: dict[str, Any] = {}
    finished = False
    for moment, event in _events(reads):
        finished = finished or event is DONE
        usage = event.get("usage") or usage
        for choice in event.get("choices") or []:
            text, own_ids = _text(choice), _token_ids(choice)
            finished = finished or choice.get("finish_reason") is not None
            if text or own_ids:
                times.append(moment)
                texts.append(text)
                ids.extend(own_ids)
    if not finished:
        raise RequestError(f"the stream ended half-way: after {len(times)} chunks, without a finish reason or [DONE]")
    if not times:
        raise RequestError("an answer without text: nothing to time")
    text = "".join(texts)
    counts = (_count(usage, name) for name in ("completion_tokens", "prompt_tokens"))
    return Answer(times, ids or text.split(), text, *counts, len(ids) or None)


def _events(reads: Reads) -> Iterator[tuple[float, dict[str, Any]]]:
    """The objects of a stream, each with the time of its last byte. Raises RequestError for what is no JSON object."""
    for moment, line in _lines(reads):
        name, _, data = line.partition(b":")
        if name != b"data":
            continue  # a comment, a name of an event, an empty line
        try:
            event = DONE if data.strip() == b"[DONE]" else json.loads(data)
        except ValueError:
            raise RequestError(f"an event that is not JSON: {_shown(data)}") from None
        if not isinstance(event, dict):
            raise RequestError(f"an event that is not an object of JSON: {_shown(data)}")
        if event.get("error"):
            raise RequestError(f"an error in the stream: {message_of(event)}")
        yield moment, event


def _lines(reads: Reads) -> Iterator[tuple[float, bytes]]:
    rest = b""
    for moment, data in reads:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield moment, line.rstrip(b"\r")
    if rest:
        yield reads[-1][0], rest


def _text(choice: dict[str, Any]) -> str:
    delta = choice.get("delta") or {}
    found = [choice.get("text"), *(delta.get(name) for name in TEXTS)]
    return "".join(text for text in found if isinstance(text, str))


def _token_ids(choice: dict[str, Any]) -> list[int]:
    ids = choice.get("token_ids")
    return [one for one in ids if isinstance(one, int)] if isinstance(ids, list) else []


def _count(usage: dict[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def message_of(body: Any) -> str:
    """A server's own words for an error, from its JSON; short, on one line."""
    error = body.get("error", body.get("detail", body.get("message"))) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error
    return one_line(str(error))[:SHOWN]


def _shown(data: bytes) -> str:
    return one_line(data.decode(errors="replace"))[:SHOWN]
