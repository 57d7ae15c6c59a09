"""A server of OpenAI's API with faults of all kinds, to try the client of `load --target openai` with.

It listens on loopback, and streams `max_tokens` words, which follow from the prompt, at times known beforehand: the
first `first_s` after the request came, the others `gap_s` apart. Further keys of a behaviour, all off by default:
`chunk` (so many words in one event), `usage` (whether it is sent where requested), `usage_off` (so many tokens too
many are reported), `ids` (token ids with each event where requested), `refuses` (fields that it answers with 400),
`natural` (an answer's length unless `ignore_eos` is there), `random` (another answer each time), `fault`: of every
request one of `FAULTS`, or `key` (what must be in the request's Authorization).
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import threading
import zlib
from collections import deque
from typing import Any

from bench_deepspeed.benchmarks.referee.wire import LAST, STREAM, choice, event, response, usage_of

FAULTS = ("429", "redirect", "html", "error", "cut", "close", "hang", "no_json", "stream_error", "empty", "shape")
DEFAULT_BEHAVIOUR: dict[str, Any] = {"first_s": 0.02, "gap_s": 0.01, "chunk": 1, "usage": True, "usage_off": 0}
TLS_HANDSHAKE = b"\x16\x03"
BACKLOG = 4096


WHOLE = {
    "429": response("429 Too Many Requests", "application/json", '{"error": {"message": "slow down"}}'),
    "redirect": response("307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/", "text/plain", ""),
    "html": response("200 OK", "text/html", "<html><body>A proxy's page</body></html>"),
    "error": response("200 OK", "application/json", '{"error": {"message": "out of memory"}}'),
}
"""Faults that are one response."""
EVENTS: dict[str, list[bytes]] = {
    "cut": [event({"choices": [{"index": 0, "text": "half"}]}), LAST],
    "no_json": [event("{half"), LAST],
    "stream_error": [event({"error": {"message": "the engine died"}}), LAST],
    "empty": [event({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}), LAST],
    "shape": [event({"choices": ["text"]}), LAST],
}
"""Faults within a stream."""


class Connection(asyncio.Protocol):
    """One connection, with one request after the other."""

    def __init__(self, server: StubServer):
        self._server, self._received = server, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._server.connections += 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.startswith(TLS_HANDSHAKE):
            self._transport.write(response("400 Bad Request", "text/plain", "this server speaks plain HTTP"))
            return
        head, end, rest = self._received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = int(fields.get("content-length", 0))
        if end and len(rest) >= length:
            self._received = rest[length:]
            self._answer(lines[0].split()[1], fields, rest[:length])

    def _answer(self, path: str, fields: dict[str, str], body: bytes) -> None:
        behaviour, write = self._server.behaviour, self._transport.write
        if behaviour.get("key") and fields.get("authorization") != f"Bearer {behaviour['key']}":
            words = json.dumps({"error": {"message": f"wrong key: {fields.get('authorization')}"}})
            return write(response("401 Unauthorized", "application/json", words))
        if path == "/v1/models":
            return write(response("200 OK", "application/json", '{"data": [{"id": "Stub/Words 1"}]}'))
        if path not in ("/v1/completions", "/v1/chat/completions"):
            return write(response("404 Not Found", "text/html", "<html>no such page</html>"))
        asked = json.loads(body)
        self._server.asked.append(asked)
        if refused := [name for name in behaviour.get("refuses", ()) if name in asked]:
            words = json.dumps({"error": {"message": f"unexpected: {', '.join(refused)}"}})
            return write(response("400 Bad Request", "application/json", words))
        return self._fail(behaviour["fault"]) if behaviour.get("fault") else self._stream(asked, "chat" in path)

    def _fail(self, fault: str) -> None:
        if fault in WHOLE:
            self._transport.write(WHOLE[fault])
        elif fault == "close":
            self._transport.close()
        elif fault in EVENTS:
            self._transport.write(STREAM + b"".join(EVENTS[fault]))

    def _stream(self, asked: dict[str, Any], chat: bool) -> None:
        behaviour = self._server.behaviour
        *pieces, last = self._server.pieces(asked, chat)
        self._transport.write(STREAM + event(choice(chat, role="assistant", content="")) if chat else STREAM)
        first_s = asyncio.get_running_loop().time() + behaviour["first_s"]
        self._write_at(
            first_s, behaviour["chunk"] * behaviour["gap_s"], [*pieces, last + self._server.end(asked, chat)]
        )

    def _write_at(self, due_s: float, gap_s: float, pieces: list[bytes]) -> None:
        """Write each piece at its time, one after the other: the timers of a busy machine may fire in another order."""

        def write() -> None:
            self._transport.write(pieces[0])
            if pieces[1:]:
                self._write_at(due_s + gap_s, gap_s, pieces[1:])

        asyncio.get_running_loop().call_at(due_s, write)


@functools.cache  # a server that writes JSON all the time would be what limits the rate
def _words(chat: bool, with_ids: bool, *numbers: int) -> bytes:
    """The event of so many words."""
    ids = {"ids": list(numbers)} if with_ids else {}
    return event(choice(chat, content="".join(f" w{number}" for number in numbers), **ids))


@functools.cache
def _end(chat: bool, new_tokens: int | None) -> bytes:
    """What follows the last word: usage, where a count is given, the finish reason, and [DONE]."""
    reported = b"" if new_tokens is None else event({"choices": [], "usage": usage_of(7, new_tokens)})
    return reported + event(choice(chat, "length")) + event("[DONE]") + LAST


class StubServer:
    """What all connections share. `asked` are the bodies of the last requests; `behaviour` may be changed."""

    def __init__(self, **behaviour: Any):
        self.behaviour = {**DEFAULT_BEHAVIOUR, **behaviour}
        self.asked: deque[dict[str, Any]] = deque(maxlen=100)
        self.connections = 0
        self._answers = itertools.count()

    def _length(self, asked: dict[str, Any]) -> int:
        natural = self.behaviour.get("natural")
        return asked["max_tokens"] if natural is None or "ignore_eos" in asked else min(natural, asked["max_tokens"])

    def pieces(self, asked: dict[str, Any], chat: bool) -> Any:
        """The events of an answer, each `chunk` words."""
        first = zlib.crc32(json.dumps(asked.get("prompt") or asked["messages"]).encode()) % 1000
        first += next(self._answers) if self.behaviour.get("random") else 0
        numbers, chunk = range(first, first + self._length(asked)), self.behaviour["chunk"]
        for start in range(0, len(numbers), chunk):
            with_ids = bool(self.behaviour.get("ids") and asked.get("return_token_ids"))
            yield _words(chat, with_ids, *numbers[start : start + chunk])

    def end(self, asked: dict[str, Any], chat: bool) -> bytes:
        """What follows the last word."""
        reported = self.behaviour["usage"] and asked.get("stream_options", {}).get("include_usage")
        return _end(chat, self._length(asked) + self.behaviour["usage_off"] if reported else None)

    async def listen(self, port: int = 0, tls: Any = None) -> int:
        """Listen on loopback. Returns the port."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", port, backlog=BACKLOG, ssl=tls
        )
        return int(self._listening.sockets[0].getsockname()[1])

    def start(self, tls: Any = None) -> int:
        """Listen in a thread of this process. Returns the port."""
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(self.listen(tls=tls), self._loop).result()

    def stop(self) -> None:
        """Stop listening, in the thread that `start` has started."""
        self._loop.call_soon_threadsafe(self._listening.close)
