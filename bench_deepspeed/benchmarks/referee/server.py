"""A server of OpenAI's API whose times are known: drawn beforehand, and measured as it hands bytes to the kernel.

It listens on loopback and runs no model. A request for n tokens gets n words; `schedule` says when. A request has come
when the kernel says so, however late the server reads it. Each chunk's time is taken right before and right after the
call that hands it to the kernel; `log` is what is kept of it. Timers of an event loop wake up to a millisecond late, so
the last two before anything is due are spent in a busy loop: the server is meant to have a CPU for itself.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import httptools

from . import kernel_clock, wire
from .log import Log, Served, Write
from .schedule import Answer, Behaviour, Slots, Stall, draw

BACKLOG = 4096
READ_BYTES = 2**18
SHOWN = 16
"""Characters of a prompt that the log keeps."""
BUSY_S = 0.002
"""The last of a wait, which is spent in a busy loop."""
IDLE_S = 0.1
"""So long nothing is under way when "idle" is reported."""
PATHS = {"/v1/completions": False, "/v1/chat/completions": True}
"""Path → whether it is that of a chat."""
MODELS = {"object": "list", "data": [{"id": wire.MODEL, "object": "model", "owned_by": wire.MODEL}]}
WHOLE = {
    "/v1/models": wire.response("200 OK", "application/json", json.dumps(MODELS)),
    "/health": wire.response("200 OK", "text/plain", "ok"),
    wire.BOOK: wire.response("200 OK", "text/plain", wire.text_of(range(wire.VOCABULARY))),
}
"""Paths whose answer is always the same."""
NO_PAGE = wire.response("404 Not Found", "application/json", '{"error": {"message": "no such page"}}')
NO_REQUEST = wire.response("400 Bad Request", "application/json", '{"error": {"message": "not a request"}}')
UNAVAILABLE = wire.response("503 Service Unavailable", "application/json", '{"error": {"message": "overloaded"}}')


class PreciseSelector(selectors.DefaultSelector):
    """One that comes back early, and at once when little of a wait is left: epoll counts whole milliseconds."""

    def select(self, timeout=None):
        return super().select(timeout and max(0.0, timeout - BUSY_S))


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop for `Server`. Its clock is that of `time.perf_counter`, CLOCK_MONOTONIC."""
    return asyncio.SelectorEventLoop(PreciseSelector())


class Times(NamedTuple):
    """When a connection was accepted, when its request had come, and when that was read."""

    accepted_s: float
    received_s: float
    read_s: float


@dataclass(frozen=True)
class Request:
    """What a request asks for."""

    chat: bool
    prompt: str
    max_tokens: int
    stream: bool
    usage: bool
    chunk_usage: bool
    ids: bool

    @classmethod
    def of(cls, chat: bool, body: bytes) -> Request:
        """Read a body. Raises ValueError, TypeError, KeyError or AttributeError for one that is no request."""
        fields = json.loads(body)
        prompt = fields["messages"][-1]["content"] if chat else fields["prompt"]
        text = prompt if isinstance(prompt, str) else json.dumps(prompt)
        max_tokens = int(fields.get("max_completion_tokens") or fields.get("max_tokens") or 16)
        options = fields.get("stream_options") or {}
        usage, chunk_usage = bool(options.get("include_usage")), bool(options.get("continuous_usage_stats"))
        stream, ids = bool(fields.get("stream")), bool(fields.get("return_token_ids"))
        return cls(chat, text, max_tokens, stream, usage, chunk_usage, ids)

    @cached_property
    def prompt_tokens(self) -> int:
        return len(self.prompt.split())


class Server:
    """What all connections share.

    `report` gets "first" when the first request of `behaviour.tokens` has come, and "idle" when nothing has been under
    way for a while.
    """

    def __init__(self, behaviour: Behaviour, seed: int, report: Callable[[str], None] = lambda _word: None):
        self._behaviour, self._seed, self._report = behaviour, seed, report
        self._slots, self._stall = Slots(behaviour.at_once), Stall()
        self._numbers: collections.Counter[bool] = collections.Counter()
        self._under_way = 0
        self._idle: asyncio.TimerHandle | None = None
        self.requests: list[Served] = []

    async def listen(self, port: int = 0) -> int:
        """Listen on loopback. Returns the port. Raises OSError."""
        self._socket = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self._socket.setblocking(False)
        kernel_clock.stamp(self._socket)
        self._epoch_s = kernel_clock.epoch_s()
        self._accept_again()
        return int(self._socket.getsockname()[1])

    def _accept_again(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        """Accept all connections that have come; only one where that is slow, and the next one later."""
        loop, slow_s = asyncio.get_running_loop(), self._behaviour.accept_s
        with contextlib.suppress(BlockingIOError):
            while True:
                Connection(self, self._socket.accept()[0], self._epoch_s)
                if slow_s:
                    loop.remove_reader(self._socket)
                    loop.call_later(slow_s, self._accept_again)
                    return

    def begin(self, request: Request, port: int, times: Times) -> tuple[Served, Answer, list[float]]:
        """Take a request of a client's port. Returns its row of the log, its answer, and when each chunk is due."""
        behaviour, under_way = self._behaviour, self._under_way
        own = behaviour.tokens in (None, request.max_tokens)
        number = self._numbers[own]
        self._numbers[own] += 1
        if own and not number:
            self._report("first")
            if behaviour.stall_at_s is not None:
                self._stall = Stall(times.received_s + behaviour.stall_at_s, behaviour.stall_s)
        answer = draw(behaviour if own else Behaviour(), self._seed, number, request.max_tokens)
        start_s = self._slots.take(self._stall.worked_s(times.received_s), answer.service_s)
        served = Served(request.prompt[:SHOWN], port, request.max_tokens, request.stream, *times, answer.ending)
        self.requests.append(served)
        self._under_way = under_way + 1
        if self._idle:
            self._idle.cancel()
            self._idle = None
        return served, answer, [self._stall.moment_s(start_s + after_s) for after_s, _ in answer.chunks]

    def ended(self) -> None:
        """A request has ended."""
        self._under_way -= 1
        if not self._under_way:
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._report_idle)

    def end(self) -> None:
        """Report what is still to be reported: a client may end as soon as it has its last answer."""
        if self._idle or self._under_way:
            self._report_idle()

    def _report_idle(self) -> None:
        if self._idle:
            self._idle.cancel()
            self._idle = None
        self._report("idle")

    def log(self) -> Log:
        """What was served so far."""
        return Log(self._seed, dict(vars(self._behaviour)), self._epoch_s, self.requests)


class Connection:
    """One connection, with one request after the other; httptools parses them."""

    def __init__(self, server: Server, accepted: socket.socket, epoch_s: float):
        self._server, self._socket, self._epoch_s, self._accepted_s = server, accepted, epoch_s, time.perf_counter()
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body, self._unsent = b"", b"", b""
        self._playing: Playing | None = None
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(accepted, self._read)

    def _read(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, kernel_clock.ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        read_s = time.perf_counter()
        received_s = kernel_clock.came_s(ancillary, self._epoch_s)
        self._times = Times(self._accepted_s, read_s if received_s is None else received_s, read_s)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.write(NO_REQUEST)
            self.close()

    def write(self, data: bytes) -> bool:
        """Hand data to the kernel. Returns whether some of it has to wait: the client reads too slowly, or is gone."""
        sent = 0
        if not self._unsent:
            with contextlib.suppress(OSError):  # the client is gone: reading says so as well
                sent = self._socket.send(data)
        if sent == len(data):
            return False
        if not self._unsent and self._socket.fileno() >= 0:
            self._loop.add_writer(self._socket, self._flush)
        self._unsent += data[sent:]
        return True

    def _flush(self) -> None:
        """Hand over what had to wait."""
        with contextlib.suppress(OSError):
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def close(self) -> None:
        """Close it; an answer that is under way ends."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        if self._playing:
            self._playing.leave()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        path, body = self._url.partition(b"?")[0].decode(), self._body
        self._url = self._body = b""
        if path not in PATHS:
            self.write(WHOLE.get(path, NO_PAGE))
            return
        try:
            request = Request.of(PATHS[path], body)
        except (ValueError, TypeError, KeyError, AttributeError, LookupError):
            self.write(NO_REQUEST)
            return
        self._playing = Playing(self._server, self, request)
        self._playing.start(*self._server.begin(request, self._socket.getpeername()[1], self._times))


class Playing:
    """One answer under way: its chunks are handed over one after the other, each when it is due."""

    def __init__(self, server: Server, connection: Connection, request: Request):
        self._server, self._connection, self._request = server, connection, request
        self._timer: asyncio.TimerHandle | None = None

    def start(self, served: Served, answer: Answer, due_s: list[float]) -> None:
        """Begin the response, and wait for the first chunk."""
        self._served, self._answer, self._due_s = served, answer, due_s
        self._place = self._tokens = 0
        if answer.ending == "error":
            self._connection.write(UNAVAILABLE)
            self._end()
        elif not self._request.stream:
            self._timer = asyncio.get_running_loop().call_at(due_s[-1], self._give_whole)
        else:
            role = wire.event(wire.choice(True, role="assistant", content="")) if self._request.chat else b""
            self._connection.write(wire.STREAM + role)
            self._wait()

    def leave(self) -> None:
        """The client has closed the connection; an answer that is not whole ends."""
        if self._timer:
            self._timer.cancel()
            self._served.left = True
            self._end()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._due_s[self._place], self._give)

    def _give(self) -> None:
        """Hand the chunk over that is due, and wait for the next one."""
        request, place = self._request, self._place
        count = self._answer.chunks[place][1]
        prompt_tokens = request.prompt_tokens if request.chunk_usage else None
        data = wire.words(request.chat, request.ids, self._tokens, count, prompt_tokens)
        self._place, self._tokens = place + 1, self._tokens + count
        last = self._place == len(self._due_s)
        if last and self._answer.ending != "cut":
            data += wire.end(
                request.chat,
                request.prompt_tokens,
                self._tokens if request.usage else None,
                "stop" if self._answer.ending == "short" else "length",
            )
        before_s = time.perf_counter()
        held = self._connection.write(data)
        after_s = time.perf_counter()
        self._served.writes.append(Write(self._due_s[place], before_s, after_s, count, held))
        if not last:
            self._wait()
            return
        self._end()
        if self._answer.ending == "cut":
            self._connection.close()

    def _give_whole(self) -> None:
        """Answer in one piece a request that wants no stream."""
        request, tokens = self._request, self._answer.tokens
        text = wire.text_of(range(tokens))
        content = {"message": {"role": "assistant", "content": text}} if request.chat else {"text": text}
        body = {
            "id": "1",
            "object": "chat.completion" if request.chat else "text_completion",
            "model": wire.MODEL,
            "choices": [{"index": 0, **content, "finish_reason": "length"}],
            "usage": wire.usage_of(request.prompt_tokens, tokens),
        }
        self._connection.write(wire.response("200 OK", "application/json", json.dumps(body)))
        self._end()

    def _end(self) -> None:
        self._timer = None
        self._server.ended()
