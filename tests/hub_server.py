"""A Hugging Face hub on loopback: one model repository served from a folder, which can be reported to misbehave.

It speaks the part of the protocol that huggingface_hub 1.33 uses to fetch a model: the listing with sizes
and digests, and `resolve`, which redirects to another host for large files as the hub does to its CDN.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

LARGE = {".safetensors", ".bin"}  # what repositories keep in LFS


@dataclass(frozen=True)
class Refusal:
    """An error as the hub words it, in its status and headers."""

    status: int
    code: str = ""
    message: str = ""


GATED = Refusal(403, "GatedRepo", "Access to this model is restricted and you are not in the authorized list.")
GATED_ANONYMOUS = Refusal(401, "GatedRepo", "Access to this model is restricted. Please log in.")
FORBIDDEN = Refusal(403, "", "Please enable access to public gated repositories in your token's settings.")
NOT_FOUND = Refusal(401, "RepoNotFound", "Invalid username or password.")
BAD_TOKEN = Refusal(401, "", "Invalid credentials in Authorization header")
BROKEN = Refusal(500)

Writer = Callable[[bytes], object]
"""What takes bytes that go out. It raises ConnectionError when the client has hung up."""


def endless(write: Writer) -> None:
    """Bytes as fast as the client takes them, without end."""
    while True:
        write(b"[" * (1 << 16))


def trickle(write: Writer) -> None:
    """A byte now and then, without end: each comes before the client's read timeout."""
    while True:
        write(b"[")
        time.sleep(0.2)


def slow_headers(write: Writer) -> None:
    """Headers that never end, a byte now and then."""
    write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    trickle(write)


def endless_interim_answers(write: Writer) -> None:
    """Interim answers (status 100) without a final one."""
    while True:
        write(b"HTTP/1.1 100 Continue\r\n\r\n")


@dataclass
class Request:
    """One request as it came, and how many bytes went out."""

    method: str
    kind: str  # "listing", "resolve", "cdn" or "unknown"
    file: str
    range: str | None
    authorization: str | None
    sent: int = 0


class HubServer(ThreadingHTTPServer):
    """Serves `folder` as the repository `repo` at `revision` until the `with` block ends.

    The attributes below `requests` are the ways to misbehave; they can be changed between two fetches.
    """

    daemon_threads = True

    def __init__(self, folder: Path, repo: str, revision: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.repo, self.revision = folder, repo, revision
        self.requests: list[Request] = []
        self.token: str | None = None  # required from everybody, except on the CDN
        self.refusal: Refusal | None = None  # of everything
        self.file_refusal: Refusal | None = None  # of files; the listing is public, as for a gated repository
        self.altered: set[str] = set()  # files whose first byte is not the repository's
        self.cut: dict[str, int] = {}  # file → offset where the connection breaks, every time
        self.cut_once: dict[str, int] = {}  # file → offset where it breaks, the first time
        self.hold: dict[str, int] = {}  # file → offset after which nothing comes, the connection staying open
        self.ignores_ranges = False
        self.portal = False  # a page of HTML in the place of every answer
        self.silent = False  # no answer at all
        self.alter_listing: Callable[[dict], object] = lambda listing: listing
        # The following are for "listing", "redirect", "refusal" or a file.
        self.bodies: dict[str, Callable[[Writer], None]] = {}  # what writes the body, whose length is not announced
        self.compressed: set[str] = set()  # sent with gzip, whatever the client accepts
        self.answers: dict[str, Callable[[Writer], None]] = {}  # what writes the answer, from its status on

    def __enter__(self) -> HubServer:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.shutdown()
        self.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def cdn(self) -> str:
        """The same server under another host's name."""
        return f"http://localhost:{self.server_port}"

    def asked(self) -> set[str]:
        """The files of which anything was requested."""
        return {request.file for request in self.requests if request.file}

    def sent(self, file: str) -> int:
        """Bytes of a file that went out, all requests together."""
        return sum(request.sent for request in self.requests if request.file == file)

    def ranges(self, file: str) -> list[str]:
        """The Range headers that came for a file."""
        return [request.range for request in self.requests if request.file == file and request.range]

    def listing(self) -> dict:
        """What `GET /api/models/<repo>/revision/<revision>?blobs=true` answers."""
        siblings = []
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            entry = {"rfilename": str(path.relative_to(self.folder)), "size": len(content), "blobId": git_hash(content)}
            if path.suffix in LARGE:
                entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 135}
            siblings.append(entry)
        return {"id": self.repo, "modelId": self.repo, "sha": self.revision, "private": False, "siblings": siblings}

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is what some tests are about; anything else is reported."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # http.server calls it by this name
        path = urlsplit(self.path).path
        hub = self.server
        prefixes = {
            f"/api/models/{hub.repo}/revision/{hub.revision}": "listing",
            f"/api/models/{hub.repo}/revision/main": "listing",
            f"/{hub.repo}/resolve/{hub.revision}/": "resolve",
            "/cdn/": "cdn",
        }
        prefix = next((prefix for prefix in prefixes if path.startswith(prefix)), path)
        kind, file = prefixes.get(prefix, "unknown"), path.removeprefix(prefix)
        self.record = Request(self.command, kind, file, self.headers["Range"], self.headers["Authorization"])
        hub.requests.append(self.record)
        self._answer(kind, file)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, kind: str, file: str) -> None:
        hub = self.server
        refusal = self._refusal(kind)
        if hub.silent:
            self._wait_for_hangup()
        elif hub.portal:
            self._send(200, b"<html>Please log in to this network.</html>", {"Content-Type": "text/html"})
        elif refusal:
            self._refuse(refusal)
        elif kind == "unknown":
            self._refuse(Refusal(404, "RepoNotFound", "Repository not found"))
        elif kind == "listing":
            listing = json.dumps(hub.alter_listing(hub.listing())).encode()
            self._send(200, listing, {"Content-Type": "application/json"}, what="listing")
        elif not (hub.folder / file).is_file():
            self._refuse(Refusal(404, "EntryNotFound", "Entry not found"))
        elif kind == "resolve" and Path(file).suffix in LARGE:
            self._redirect(file)
        else:
            self._send_file(file)

    def _refusal(self, kind: str) -> Refusal | None:
        hub = self.server
        if kind == "cdn":
            return None  # its addresses are signed, and serve without a token
        if hub.token and self.headers["Authorization"] != f"Bearer {hub.token}":
            return BAD_TOKEN
        return hub.refusal or (hub.file_refusal if kind == "resolve" else None)

    def _refuse(self, refusal: Refusal) -> None:
        headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
        self._send(refusal.status, b"", {name: value for name, value in headers.items() if value}, what="refusal")

    def _redirect(self, file: str) -> None:
        content = (self.server.folder / file).read_bytes()
        headers = {
            "Location": f"{self.server.cdn}/cdn/{file}",
            "X-Repo-Commit": self.server.revision,
            "X-Linked-Etag": f'"{sha256(content)}"',
            "X-Linked-Size": str(len(content)),
        }
        self._send(302, b"", headers, what="redirect")

    def _send_file(self, file: str) -> None:
        hub = self.server
        content = (hub.folder / file).read_bytes()
        etag = sha256(content) if Path(file).suffix in LARGE else git_hash(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": hub.revision, "Accept-Ranges": "bytes"}
        if file in hub.altered:
            content = bytes([content[0] ^ 1]) + content[1:]
        asked = None if hub.ignores_ranges else self.headers["Range"]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        limits = (hub.cut.get(file), hub.cut_once.pop(file, None), hub.hold.get(file))
        end = min(limit for limit in (*limits, len(content)) if limit is not None)
        self._send(206 if asked else 200, content[start:], headers, max(0, end - start), file)
        if file in hub.hold:
            self._wait_for_hangup()

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], limit: int | None = None, what: str = ""
    ) -> None:
        """Send the headers of the whole body, and `limit` bytes of it; or what the server shall do for `what`."""
        hub = self.server
        if what in hub.answers:
            hub.answers[what](self.wfile.write)
        if what in hub.compressed:
            headers, body = {**headers, "Content-Encoding": "gzip"}, gzip.compress(body)
        length = {"Connection": "close"} if what in hub.bodies else {"Content-Length": str(len(body))}
        self.send_response(status)
        for name, value in {**headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if what in hub.bodies:
            hub.bodies[what](self.wfile.write)
            return
        self.record.sent = len(body[:limit])
        self.wfile.write(body[:limit])
        self.close_connection = limit is not None and limit < len(body)

    def _wait_for_hangup(self) -> None:
        self.connection.recv(1)
        self.close_connection = True

    def log_message(self, *_) -> None:
        """`requests` is the log."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
