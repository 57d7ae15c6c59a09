"""Checks of the hub, of the login there, and of this machine's ports."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bench_deepspeed.benchmarks.common.scenario import MODEL
from bench_deepspeed.core.ports import free_port
from bench_deepspeed.model import catalog

from .line import BLOCKER, NOTE, OK, WARNING, Line

USUAL_PORTS = (29500, 25555)  # where torch's process group and MII's ZMQ socket are by default
HUB_TIMEOUT_S = 3


def token_path() -> Path:
    """Where `hf auth login` keeps the token, by the rules of huggingface_hub, which may not be installed yet."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", f"{cache}/huggingface")
    path = os.environ.get("HF_TOKEN_PATH", f"{home}/token")
    return Path(os.path.expandvars(path)).expanduser()


def check_login() -> Line:
    """Whether there is a token. Its text is shown nowhere."""
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(variable, "").strip():
            return Line(OK, "hub login", f"{variable} is set")
    licence = catalog.load(MODEL["cuda"]).source["licence_url"]
    remedy = f"accept the licence at {licence}, then set HF_TOKEN or run `hf auth login`; or use --weights random"
    path = token_path()
    try:
        if path.read_bytes().strip():
            return Line(OK, "hub login", f"a token in {path}")
    except FileNotFoundError:
        pass  # never logged in: reported below
    except OSError as error:
        return Line(WARNING, "hub login", f"{path} cannot be read ({error.strerror})", remedy)
    return Line(NOTE, "hub login", f"none, and {MODEL['cuda']} needs one (so may other models of the hub)", remedy)


def check_hub() -> Line:
    """Whether the hub answers the client that fetches; the content of the answer does not matter."""
    remedy = f"until then, only {MODEL['cpu']}, --weights random and weights fetched before work"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return Line(WARNING, "hub", "HF_HUB_OFFLINE is set, so no request is sent", remedy)
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        address = urlsplit(endpoint)
        # Without user and password, which a mirror's address may carry.
        shown = f"{address.scheme}://{address.hostname}" + (f":{address.port}" if address.port else "")
    except ValueError:
        address = None
    if address is None or address.scheme not in {"http", "https"} or not address.hostname:
        return Line(WARNING, "hub", "HF_ENDPOINT is not an http address", "fix or unset it")
    problem = _problem(endpoint)
    return Line(WARNING, "hub", f"{shown} {problem}", remedy) if problem else Line(OK, "hub", f"{shown} answers")


def _problem(endpoint: str) -> str | None:
    """Why the client that fetches does not reach an address, or Python's own where that client is not installed yet."""
    try:
        import httpx

        from bench_deepspeed.weights import transfer
    except ImportError:
        return _problem_without_packages(endpoint)
    try:
        transfer.answers(endpoint, HUB_TIMEOUT_S)
    except transfer.BadProxyError as error:
        return f"cannot be asked: {error}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, asyncio.TimeoutError) as error:
        return f"cannot be reached ({type(error).__name__})"
    return None


def _problem_without_packages(endpoint: str) -> str | None:
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=HUB_TIMEOUT_S):
            return None
    except urllib.error.HTTPError:  # "not found" and "forbidden" are answers
        return None
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"cannot be reached ({type(error).__name__})"


def check_ports(usual: tuple[int, ...]) -> Iterator[Line]:
    """Engines talk to themselves over loopback; which port it is does not matter to this suite."""
    try:
        free_port()
    except OSError as error:
        detail = f"no port can be bound on 127.0.0.1 ({error.strerror})"
        yield Line(BLOCKER, "ports", detail, "bring the loopback interface up: `ip link set lo up`")
        return
    busy = [str(port) for port in usual if _is_busy(port)]
    if busy:
        yield Line(NOTE, "ports", f"{' and '.join(busy)} in use, which does not matter: each run takes free ports")
    else:
        yield Line(OK, "ports", "loopback ports can be bound")


def _is_busy(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that was closed a moment ago does not make the port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
