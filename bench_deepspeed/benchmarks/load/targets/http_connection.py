"""One connection of HTTP/1.1: a request is written, and the bytes of its response are kept with their times.

httptools (llhttp, the parser of Node.js) parses as bytes come. Nothing else is done for each piece, where general
clients wake a coroutine: what a generator can send is limited by the CPU time of each piece.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import httptools

from bench_deepspeed.core.text import one_line

MOST_BYTES = 64_000_000
"""Of one response; more is no answer of a model."""


class ClosedError(Exception):
    """The server closed the connection before its response was whole; `begun` says whether any of it came."""

    def __init__(self, begun: bool):
        super().__init__()
        self.begun = begun


class TooLongError(Exception):
    """A response of more than `MOST_BYTES`."""


@dataclass
class Response:
    """A response: its body as it was read, each piece with its time by `time.perf_counter`."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    reads: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def content_type(self) -> str:
        given = self.headers.get(b"content-type", b"no content type").partition(b";")[0]
        return one_line(given.decode(errors="replace"))

    @property
    def text(self) -> str:
        return b"".join(data for _, data in self.reads).decode(errors="replace")


class Connection(asyncio.Protocol):
    """A connection that takes one request after the other."""

    idle_since_s = 0.0
    usable = True

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._ended: asyncio.Future[Response] | None = None

    async def exchange(self, request: bytes) -> Response:
        """Write a request and return its response.

        Raises ClosedError, TooLongError, and httptools' HttpParserError for what is not HTTP.
        """
        self._response, self._bytes, self._has_end = Response(), 0, False
        self._parser = httptools.HttpResponseParser(self)
        self._ended = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._ended

    def abort(self) -> None:
        """Close it at once: it cannot be used again."""
        self.usable = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._now_s = time.perf_counter()
        if self._ended is None or self._ended.done():
            self.abort()  # nothing was requested
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, TooLongError) as error:
            if not self._ended.done():  # else the response was whole, and what follows it is none
                self._ended.set_exception(_cause(error))
            self.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self.usable = False
        if self._ended is not None and not self._ended.done():
            if self._response.status and not self._has_end:  # the end of such a body is the end of the connection
                self._ended.set_result(self._response)
            else:
                self._ended.set_exception(ClosedError(bool(self._response.status)))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._response.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._response.status = self._parser.get_status_code()
        self._has_end = not {b"content-length", b"transfer-encoding"}.isdisjoint(self._response.headers)

    def on_body(self, body: bytes) -> None:
        self._response.reads.append((self._now_s, body))
        self._bytes += len(body)
        if self._bytes > MOST_BYTES:
            raise TooLongError

    def on_message_complete(self) -> None:
        self.usable = self._parser.should_keep_alive()
        self.idle_since_s = self._now_s
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(self._response)


def _cause(error: Exception) -> Exception:
    """What ended the parsing: the parser wraps what its callbacks raise."""
    return error.__context__ if isinstance(error.__context__, TooLongError) else error
