"""One connection of HTTP: what it keeps of a response, and when the next request may use it. No socket is opened."""

from __future__ import annotations

import asyncio
import ssl

import httptools
import pytest

from bench_deepspeed.benchmarks.load.targets import http_connection
from bench_deepspeed.benchmarks.load.targets.http_client import fault
from bench_deepspeed.benchmarks.load.targets.http_connection import ClosedError, Connection, Response, TooLongError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Transport:
    """What a connection writes to."""

    def __init__(self):
        self.written, self.aborted = b"", False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


def exchange(*pieces: bytes | None) -> tuple[Response, Connection, Transport]:
    """A request whose response comes in these pieces; None is the server closing the connection."""

    async def run():
        connection, transport = Connection(), Transport()
        connection.connection_made(transport)
        asked = asyncio.ensure_future(connection.exchange(b"GET /"))
        await asyncio.sleep(0)
        for piece in pieces:
            connection.connection_lost(None) if piece is None else connection.data_received(piece)
        return await asked, connection, transport

    return asyncio.run(run())


def test_each_piece_of_a_body_has_its_time_and_the_connection_is_kept():
    response, connection, transport = exchange(CHUNKED + b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\n\r\n")
    assert transport.written == b"GET /"
    assert (response.status, response.content_type, response.text) == (200, "text/event-stream", "abcde")
    assert [data for _, data in response.reads] == [b"abc", b"de"]
    assert response.reads[0][0] < response.reads[1][0]
    assert connection.usable
    assert not transport.aborted


def test_the_end_of_the_connection_ends_a_body_without_a_length_and_no_other():
    response, connection, _ = exchange(HEAD + b"\r\nabc", b"d", None)
    assert response.text == "abcd"
    assert not connection.usable
    with pytest.raises(ClosedError) as half:
        exchange(CHUNKED + b"3\r\nabc\r\n", None)
    assert fault(half.value) == "the stream ended half-way: the server closed the connection"
    with pytest.raises(ClosedError) as none:
        exchange(None)
    assert fault(none.value) == "the server closed the connection before it answered"


def test_a_connection_that_the_server_will_close_is_not_used_again():
    _, connection, _ = exchange(HEAD + b"Connection: close\r\nContent-Length: 1\r\n\r\na")
    assert not connection.usable


def test_what_is_not_http_and_what_has_no_end_is_refused(monkeypatch):
    with pytest.raises(httptools.HttpParserError) as other:
        exchange(b"SSH-2.0-OpenSSH_9.6\r\n")
    assert fault(other.value).startswith("not HTTP: ")
    monkeypatch.setattr(http_connection, "MOST_BYTES", 4)
    with pytest.raises(TooLongError):
        exchange(CHUNKED + b"5\r\nabcde\r\n")


@pytest.mark.parametrize("pieces", [(b"", HEAD), (b"no response",)])
def test_what_nobody_requested_closes_the_connection(pieces):
    first, *others = pieces
    response, connection, transport = exchange(HEAD + b"Content-Length: 2\r\n\r\nab" + first, *others)
    assert response.text == "ab"
    assert transport.aborted
    assert not connection.usable


def certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (certificate_error(), "TLS: self-signed certificate"),
        (ConnectionRefusedError(111, "Connection refused"), "no connection: Connection refused"),
        (OSError(), "no connection: OSError"),
        (TooLongError(), "a response of more than 64,000,000 bytes"),
    ],
)
def test_a_fault_is_said_in_the_words_of_a_user(error, words):
    assert fault(error) == words
