"""A server of known service time over loopback: proves the load generator, measures nothing else.

Its behaviour comes from the environment variable BENCH_STUB, a JSON object (see `stub_server`).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import zlib

from bench_deepspeed.benchmarks.load.records import Request
from bench_deepspeed.core import signals
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.ports import free_port, require_free
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines.base import Streamed

from .base import RequestError, Setup, Target


class StubTarget(Target):
    name = "stub"
    summary = "a server of known service time, no model: for testing the load generator"
    service = "known service time; no model"
    engine = "fake"

    def open(self, setup: Setup, progress: Progress) -> None:
        self._port = setup.port or free_port()
        require_free(self._port)
        self._behaviour = os.environ.get("BENCH_STUB", "{}")
        self._timeout_s = setup.timeout_s
        command = [
            sys.executable,
            "-m",
            "bench_deepspeed.benchmarks.load.targets.stub_server",
            str(self._port),
            self._behaviour,
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        signals.at_once.append(self._process.kill)
        if not self._process.stdout.readline():
            raise BenchError(f"the stub server did not start: it ended with code {self._process.wait()}")
        self._connections = threading.local()

    def send(self, request: Request) -> Streamed:
        streamed = Streamed([], [])
        try:
            connection = self._connection()
            connection.sendall(f"{request.max_tokens} {zlib.crc32(request.prompt.encode())}\n".encode())
            while received := connection.recv(4096):
                now, tokens = time.perf_counter(), received.decode().rstrip("\n")
                streamed.times.extend([now] * len(tokens))
                streamed.tokens.extend(tokens)
                if received.endswith(b"\n"):
                    return streamed
        except OSError as error:
            self._forget()
            raise RequestError(str(error)) from error
        self._forget()
        raise RequestError("the connection was closed")

    def _connection(self) -> socket.socket:
        """This thread's own, kept open from one request to the next."""
        if not hasattr(self._connections, "socket"):
            self._connections.socket = socket.create_connection(("127.0.0.1", self._port), self._timeout_s)
            self._connections.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connections.socket

    def _forget(self) -> None:
        if hasattr(self._connections, "socket"):
            self._connections.socket.close()
            del self._connections.socket

    def check(self) -> None:
        if self._process.poll() is not None:
            raise BenchError(f"the stub server ended with code {self._process.poll()}")

    def describe(self) -> dict:
        return {"behaviour": self._behaviour}

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
