"""HTTP to a server of OpenAI's API: one request, its bytes as they come, and what failed in the words of a user.

Connections are kept alive, and there are as many as requests in flight. Proxies of the environment are not used: they
would be measured. No redirect is followed: the key goes to the server that was named.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from httptools import HttpParserError

from bench_deepspeed.core.errors import DAMAGE, as_bench_error
from bench_deepspeed.core.text import one_line

from .base import RequestError, Server
from .event_stream import SHOWN, Reads, message_of
from .http_connection import MOST_BYTES, ClosedError, Connection, Response, TooLongError

KEEP_ALIVE_S = 4.0
"""A connection that was idle for so long is not used again: the server may close it (uvicorn after 5 s) just then."""
LACKS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What this machine has too few of for another connection: more requests would fail for the same reason."""
HIDDEN = b"<key>"
PATHS = {"completions": "completions", "chat": "chat/completions"}


class HttpClient:
    """Connections to one server. Its methods raise RequestError, of which the text before ": " is the kind.

    The key is in no message: servers may repeat it.
    """

    def __init__(self, server: Server, timeout_s: float):
        parts = urlsplit(server.url)
        self._path, self._api, self._timeout_s = parts.path, PATHS[server.api], timeout_s
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._address = (parts.hostname or "", parts.port or (443 if self._tls else 80))
        self._host = self._address[0]
        self._key = os.environ[server.key_variable] if server.key_variable else ""
        key = f"Authorization: Bearer {self._key}\r\n" if self._key else ""
        self._fields = f"Host: {parts.netloc}\r\n{key}Content-Type: application/json\r\nAccept: */*\r\n"
        self._idle: list[Connection] = []

    async def models(self) -> list[str]:
        """The ids of the models that the server lists."""
        body = self._json("models", await self._request("GET", "models", b""))
        listed = body.get("data") if isinstance(body, dict) else None
        if not isinstance(listed, list):
            raise RequestError(f"not a list of models: {message_of(body)}")
        return [str(one["id"]) for one in listed if isinstance(one, dict) and one.get("id")]

    async def stream(self, body: bytes) -> Reads:
        """Post a request and return the bytes of its stream, each piece with the time at which it was read."""
        response = await self._request("POST", self._api, body)
        if response.content_type != "text/event-stream":
            answer = self._json(self._api, response)
            kind = "200 with an error" if isinstance(answer, dict) and answer.get("error") else "not a stream"
            raise RequestError(f"{kind}: {message_of(answer)}")
        return response.reads

    async def _request(self, method: str, name: str, body: bytes) -> Response:
        """The whole response, of status 200. Raises RequestError, MachineError for what this machine lacks."""
        head = f"{method} {self._path}/{name} HTTP/1.1\r\n{self._fields}Content-Length: {len(body)}\r\n\r\n"
        try:
            response = await asyncio.wait_for(self._exchange(head.encode() + body), self._timeout_s)
        except asyncio.TimeoutError:
            raise RequestError(f"no answer within {self._timeout_s:g} s") from None
        except (OSError, ClosedError, TooLongError, HttpParserError) as error:
            lack = as_bench_error(error) if getattr(error, "errno", None) in LACKS else None
            raise lack or RequestError(fault(error)) from error
        self._hide_key(response)
        if response.status != 200:
            raise RequestError(f"HTTP {response.status}: {self._words(response)} ({self._path}/{name})")
        return response

    async def _exchange(self, request: bytes) -> Response:
        connection = self._kept() or await self._connect()
        try:
            response = await connection.exchange(request)
        except BaseException:  # a time-out cancels it
            connection.abort()
            raise
        if connection.usable:
            self._idle.append(connection)
        return response

    def _kept(self) -> Connection | None:
        """The connection that was used last, if one can be used again."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and time.perf_counter() - connection.idle_since_s < KEEP_ALIVE_S:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        """A new connection. The machine's name is looked up for the first one alone."""
        tls = {"ssl": self._tls, "server_hostname": self._host} if self._tls else {}
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(Connection, *self._address, **tls)
        self._address = transport.get_extra_info("peername")[:2]
        return connection

    def _words(self, response: Response) -> str:
        """What a response with an error says."""
        try:
            return message_of(json.loads(response.text))
        except DAMAGE:
            return f"{response.content_type} in place of JSON"

    def _json(self, name: str, response: Response) -> Any:
        try:
            return json.loads(response.text)
        except DAMAGE:
            shown = one_line(response.text)[:SHOWN]
            where = f"{self._path}/{name} answers {response.content_type}"
            raise RequestError(f"not JSON: {where}: {shown}") from None

    def _hide_key(self, response: Response) -> None:
        """Replace the key in what a server repeats of it, before anything is cut out of that and shown."""
        key, whole = self._key.encode(), b"".join(data for _, data in response.reads)
        if key and key in whole:
            response.reads = [(response.reads[-1][0], whole.replace(key, HIDDEN))]
        if key and any(key in value for value in response.headers.values()):
            response.headers = {}

    async def close(self) -> None:
        for connection in self._idle:
            connection.abort()


def fault(error: Exception) -> str:
    """What a failed exchange is, in words; the kind before ": "."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {one_line(error.verify_message)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {one_line(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, ClosedError):
        half = "the stream ended half-way: the server closed the connection"
        return half if error.begun else "the server closed the connection before it answered"
    if isinstance(error, TooLongError):
        return f"a response of more than {MOST_BYTES:,} bytes"
    if isinstance(error, OSError):
        return f"no connection: {error.strerror or str(error) or type(error).__name__}"
    return f"not HTTP: {one_line(str(error))[:SHOWN]}"
