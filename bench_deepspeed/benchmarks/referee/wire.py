"""The bytes of a server of OpenAI's API: responses, server-sent events, and the JSON in them."""

from __future__ import annotations

import functools
import json
from typing import Any

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
"""The end of a chunked body."""
MODEL = "referee"
BOOK = "/book.txt"
"""The path of a text of all words, for tools that make prompts of a book."""
VOCABULARY = 4096
"""Different words that a server sends, each of which stands for one token."""


def response(status: str, content_type: str, body: str) -> bytes:
    """A whole response; `status` is its code with its reason."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    return head.encode() + body.encode()


def event(data: object) -> bytes:
    """One server-sent event as one piece of a chunked body; text as it is, anything else as JSON."""
    line = f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(line), line)


def choice(chat: bool, finish_reason: str | None = None, **content: Any) -> dict[str, Any]:
    """The object of one event: `content` is its text, `ids` its token ids, `role` that of a chat's first event."""
    ids = {"token_ids": content.pop("ids")} if "ids" in content else {}
    text = {"delta": content} if chat else {"text": content.get("content", "")}
    kind = "chat.completion.chunk" if chat else "text_completion"
    choices = [{"index": 0, **text, **ids, "finish_reason": finish_reason}]
    return {"id": "1", "object": kind, "model": "m", "choices": choices}


def text_of(numbers: range) -> str:
    """The words of tokens, each with the space before it."""
    return "".join(f" w{number % VOCABULARY}" for number in numbers)


@functools.cache  # a server that writes JSON all the time would be what limits the rate
def words(chat: bool, with_ids: bool, first: int, count: int, prompt_tokens: int | None = None) -> bytes:
    """The event of so many tokens, numbered from `first`; with usage so far, where the prompt's length is given."""
    numbers = range(first, first + count)
    ids = {"ids": [number % VOCABULARY for number in numbers]} if with_ids else {}
    usage = {} if prompt_tokens is None else {"usage": usage_of(prompt_tokens, first + count)}
    return event({**choice(chat, content=text_of(numbers), **ids), **usage})


@functools.cache
def end(chat: bool, prompt_tokens: int, new_tokens: int | None, finish_reason: str = "length") -> bytes:
    """What follows the last token: usage, where a count is given, the finish reason, and [DONE]."""
    usage = {"choices": [], "usage": usage_of(prompt_tokens, new_tokens or 0)}
    reported = b"" if new_tokens is None else event(usage)
    return event(choice(chat, finish_reason)) + reported + event("[DONE]") + LAST


def usage_of(prompt_tokens: int, new_tokens: int) -> dict[str, int]:
    """The counts that a server reports."""
    total = prompt_tokens + new_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": new_tokens, "total_tokens": total}
