"""HTTP to a server of OpenAI's API: one request, its bytes as they come, and what failed in the words of a user.

aiohttp, on the event loop of the target: connections are kept alive, and there are as many as requests in flight.
Proxies and .netrc of the environment are not used: they would be measured, or send credentials of their own. No
redirect is followed: the key goes to the server that was named.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import ssl
import time
from typing import TYPE_CHECKING, Any

from bench_deepspeed.core.errors import as_bench_error
from bench_deepspeed.core.text import one_line

from .base import RequestError, Server
from .event_stream import SHOWN, message_of

if TYPE_CHECKING:
    import aiohttp

KEEP_ALIVE_S = 4.0
"""An idle connection is closed after this: before the server closes it (uvicorn's 5 s), just as a request is sent."""
LACKS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What this machine has too few of for another connection: more requests would fail for the same reason."""
MOST_BYTES = 64_000_000
"""Of one answer; more is no answer of a model."""
PATHS = {"completions": "completions", "chat": "chat/completions"}


class HttpClient:
    """Connections to one server. Its methods raise RequestError, of which the text before ": " is the kind.

    The key is in no message: servers may repeat it.
    """

    def __init__(self, server: Server, timeout_s: float):
        import aiohttp

        self._url, self._timeout_s = server.url, timeout_s
        self._stream_url = f"{server.url}/{PATHS[server.api]}"
        self._key = os.environ.get(server.key_variable, "").strip()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        tls = ssl.create_default_context() if server.url.startswith("https:") else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeout_s),
            headers={**headers, "Content-Type": "application/json"},
        )

    async def models(self) -> list[str]:
        """The ids of the models that the server lists."""
        body = await self._within(self._models())
        listed = body.get("data") if isinstance(body, dict) else None
        if not isinstance(listed, list):
            raise RequestError(f"not a list of models: {message_of(body)}")
        return [str(one["id"]) for one in listed if isinstance(one, dict) and one.get("id")]

    async def _models(self) -> Any:
        async with self._session.get(f"{self._url}/models", allow_redirects=False) as response:
            await self._require_ok(response)
            return await self._json(response)

    async def stream(self, body: bytes) -> list[tuple[float, bytes]]:
        """Post a request and return the bytes of its stream, each piece with the time at which it was read."""
        return await self._within(self._stream(body))

    async def _stream(self, body: bytes) -> list[tuple[float, bytes]]:
        async with self._session.post(self._stream_url, data=body, allow_redirects=False) as response:
            await self._require_ok(response)
            if response.content_type != "text/event-stream":
                answer = await self._json(response)
                kind = "200 with an error" if isinstance(answer, dict) and answer.get("error") else "not a stream"
                raise RequestError(f"{kind}: {self._safe(message_of(answer))}")
            reads, received = [], 0
            async for data in response.content.iter_any():
                reads.append((time.perf_counter(), data))
                received += len(data)
                if received > MOST_BYTES:
                    raise RequestError(f"a stream of more than {MOST_BYTES:,} bytes")
            return reads

    async def _within(self, coroutine: Any) -> Any:
        """The result, within the time of a request. Raises RequestError, MachineError for what the machine lacks."""
        try:
            return await asyncio.wait_for(coroutine, self._timeout_s)
        except asyncio.TimeoutError:
            raise RequestError(f"no answer within {self._timeout_s:g} s") from None
        except (OSError, _client_error()) as error:
            lack = as_bench_error(error) if getattr(error, "errno", None) in LACKS else None
            raise lack or RequestError(self._safe(fault(error))) from error

    async def _require_ok(self, response: aiohttp.ClientResponse) -> None:
        """Raise RequestError for another status than 200."""
        if response.status == 200:
            return
        text = await response.text(errors="replace")
        try:
            words = message_of(json.loads(text))
        except ValueError:
            words = f"{response.content_type} in place of JSON"
        raise RequestError(f"HTTP {response.status}: {self._safe(words)} ({response.url.path})")

    async def _json(self, response: aiohttp.ClientResponse) -> Any:
        text = await response.text(errors="replace")
        try:
            return json.loads(text)
        except ValueError:
            shown = self._safe(one_line(text))[:SHOWN]
            raise RequestError(f"not JSON: {response.url.path} answers {response.content_type}: {shown}") from None

    def _safe(self, words: str) -> str:
        return words.replace(self._key, "<key>") if self._key else words

    async def close(self) -> None:
        await self._session.close()


def _client_error() -> type[Exception]:
    import aiohttp

    return aiohttp.ClientError


def fault(error: Exception) -> str:
    """What a failed exchange is, in words; the kind before ": "."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"TLS: {one_line(str(error.certificate_error))[:SHOWN]}"
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return f"TLS: {one_line(str(error))[:SHOWN]}"
    if isinstance(error, aiohttp.ClientConnectorError):
        known = os.strerror(error.errno) if error.errno else str(error.os_error)
        return f"no connection: {known or 'closed at once'}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection before it answered"
    if isinstance(error, (aiohttp.ClientPayloadError, ConnectionResetError)):
        return "the stream ended half-way: the server closed the connection"
    return f"{type(error).__name__}: {one_line(str(error))[:SHOWN]}"
