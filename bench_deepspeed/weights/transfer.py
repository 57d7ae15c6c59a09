"""A GET from the hub that ends: its bytes and its time are bounded, whatever the server sends.

httpx's timeouts count from byte to byte, and huggingface_hub reads a listing, and the body of an error or of a
redirect, to its end and decompressed. Here every wait has a limit of its own, which takes an asynchronous client.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import httpx
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.utils import get_async_session, hf_raise_for_status

from .listing import BadAnswerError

CHUNK_BYTES = 1 << 20  # what a broken connection can lose; a 10 GB file is reported in 10,000 steps
STALL_S = 60.0  # seconds for the headers, and for each chunk: 17 KB a second is the least that counts as a transfer
USER_AGENT = f"bench_deepspeed; hf_hub/{huggingface_hub.__version__}"
REDIRECTS = 5  # a hub takes one or two to its storage

T = TypeVar("T")


class BadProxyError(Exception):
    """A variable that names proxies has a value that cannot be used; the message names it."""


def receive(url: str, what: str, take: Callable[[int, bytes], None], limit: int, offset: int = 0) -> None:
    """GET `what` from `url`, and pass its bytes from `offset` on to `take`, a chunk at a time.

    `take` gets each chunk's own offset: the first is 0 where the server ignores the range. `limit` is the most bytes
    that `what` can have; no chunk goes beyond it. Raises HfHubHTTPError for a status of the hub, httpx.HTTPError
    or OfflineModeIsEnabled for the network, BadAnswerError for a body that is compressed, longer than `limit` or
    stalls.
    """
    asyncio.run(_receive(url, what, take, limit, offset))


async def _receive(url: str, what: str, take: Callable[[int, bytes], None], limit: int, offset: int) -> None:
    headers = _headers() | ({"Range": f"bytes={offset}-"} if offset else {})
    async with _client() as client:
        # huggingface_hub's response hook would read the body of an error, decompressed.
        client.event_hooks = {"request": client.event_hooks["request"]}
        request = client.build_request("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
        response = await _in_time(_open(client, request), what)
        _require_fit(response, what)
        position = offset if response.status_code == httpx.codes.PARTIAL_CONTENT else 0
        chunks = response.aiter_raw(CHUNK_BYTES)
        while chunk := await _in_time(_next(chunks), what):
            if position + len(chunk) > limit:
                raise BadAnswerError(f"{what} goes on after the {limit} bytes that it may have")
            take(position, chunk)
            position += len(chunk)


def answers(url: str, limit_s: float) -> None:
    """Ask for the headers of `url`, with the client that fetches and without the token; any status is an answer.

    Raises httpx.HTTPError or httpx.InvalidURL for the network, TimeoutError after `limit_s`, and BadProxyError.
    """
    asyncio.run(_answers(url, limit_s))


async def _answers(url: str, limit_s: float) -> None:
    async with _client() as client:
        client.event_hooks = {"request": [], "response": []}  # an offline mode is the caller's to see
        opening = _open(client, client.build_request("HEAD", url, headers={"User-Agent": USER_AGENT}))
        await asyncio.wait_for(opening, limit_s)


def _client() -> httpx.AsyncClient:
    """A client with the proxies of the environment. Raises BadProxyError where they cannot be used."""
    try:
        return get_async_session()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        named = sorted(name for name in os.environ if re.fullmatch("(http|https|all|no)_proxy", name, re.IGNORECASE))
        # Not the error's text, which may show a part of a password.
        reason = "SOCKS needs the package socksio" if isinstance(error, ImportError) else "it names no proxy by http"
        raise BadProxyError(f"{', '.join(named)} cannot be used ({reason}): fix or unset it") from error


def _headers() -> dict[str, str]:
    """What every request carries.

    huggingface_hub's `build_hf_headers` would first fetch a list of agents from the same server, without bounds, and
    answer it which of them this environment belongs to.
    """
    # Not compressed: an offset counts the file's own bytes, and so does a limit.
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else huggingface_hub.get_token()
    return headers | ({"Authorization": f"Bearer {token}"} if token else {})


async def _open(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """The answer to a request, redirects followed; no body has been read."""
    for _ in range(REDIRECTS + 1):
        response = await client.send(request, stream=True, follow_redirects=False)
        if response.next_request is None:
            return response
        await response.aclose()
        request = response.next_request
    raise httpx.TooManyRedirects(f"more than {REDIRECTS} redirects", request=request)


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    """The next chunk, nothing at the end."""
    async for chunk in chunks:
        return chunk
    return b""


async def _in_time(step: Awaitable[T], what: str) -> T:
    limit_s = max(STALL_S, constants.HF_HUB_DOWNLOAD_TIMEOUT)
    try:
        return await asyncio.wait_for(step, limit_s)
    except asyncio.TimeoutError as error:
        raise BadAnswerError(
            f"{what} stalls: {limit_s:.0f} s brought less than {CHUNK_BYTES} bytes (HF_HUB_DOWNLOAD_TIMEOUT gives it "
            "more seconds)"
        ) from error


def _require_fit(response: httpx.Response, what: str) -> None:
    """Raise HfHubHTTPError for an error's status, BadAnswerError for a compressed body."""
    # The two headers from which huggingface_hub makes an error: it would read the whole body for more words.
    headers = {name: response.headers[name] for name in ("X-Error-Code", "X-Error-Message") if name in response.headers}
    hf_raise_for_status(httpx.Response(response.status_code, headers=headers, request=response.request))
    encoding = response.headers.get("Content-Encoding", "")
    if encoding.lower() not in {"", "identity"}:
        raise BadAnswerError(f"{what} comes compressed ({encoding!a:.40}) though it was to come as it is")
