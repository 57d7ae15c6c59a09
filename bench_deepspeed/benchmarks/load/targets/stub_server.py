"""A server of known service time, to prove the load generator with; nothing else.

    python -m bench_deepspeed.benchmarks.load.targets.stub_server <port> <behaviour as JSON>

It listens on loopback. A line holds how many tokens are wanted and a number that stands for the prompt; each token
comes back as one letter, which follows from that number and its place, at a time known beforehand: the first after
`first_s`, the others `gap_s` apart. Behaviour: `at_once` (how many it serves at a time, None: all; others wait in the
order of arrival), `chunk` (so many tokens come back at once, at the time of the first of them), `garbled_from` (with so
many requests under way the letters are others), and for one request, counted from 0:
`stall_at` (it and all behind it wait for `stall_s`), `hang_at` (no token ever comes), `short_at` (one
token is missing), `die_at` (the process ends).
"""

from __future__ import annotations

import json
import math
import os
import socketserver
import string
import sys
import threading
import time

LETTERS = string.ascii_lowercase
DEFAULT_BEHAVIOUR = {"first_s": 0.02, "gap_s": 0.01, "at_once": None, "stall_s": 0.0, "chunk": 1}


class Slots:
    """When a request may start, given how many are served at once: each takes the slot that is free first."""

    def __init__(self, behaviour: dict):
        self._behaviour = behaviour
        self._free_at = [0.0] * (behaviour["at_once"] or 0)
        self._lock = threading.Lock()
        self._requests = 0
        self._under_way = 0

    def enter(self, change: int) -> int:
        """Count a request that comes (1) or ends (-1). Returns how many are under way."""
        with self._lock:
            self._under_way += change
            return self._under_way

    def take(self, arrived: float, seconds: float) -> tuple[int, float]:
        """The request's number, and the time at which its service starts."""
        with self._lock:
            number, self._requests = self._requests, self._requests + 1
            stall = self._behaviour["stall_s"] if number == self._behaviour.get("stall_at") else 0.0
            if not self._free_at:
                return number, arrived + stall
            slot = self._free_at.index(min(self._free_at))
            start = max(arrived, self._free_at[slot]) + stall
            self._free_at[slot] = start + seconds
            return number, start


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        for line in self.rfile:
            arrived, under_way = time.perf_counter(), self.server.slots.enter(1)
            tokens, prompt = map(int, line.split())
            garbled = under_way >= self.server.behaviour.get("garbled_from", math.inf)
            self._serve(arrived, tokens, prompt + garbled)
            self.server.slots.enter(-1)
            self.wfile.write(b"\n")

    def _serve(self, arrived: float, tokens: int, prompt: int) -> None:
        behaviour = self.server.behaviour
        first, gap = behaviour["first_s"], behaviour["gap_s"]
        number, start = self.server.slots.take(arrived, first + gap * (tokens - 1))
        if number == behaviour.get("die_at"):
            os._exit(1)
        if number == behaviour.get("hang_at"):
            threading.Event().wait()
        tokens, chunk = tokens - (number == behaviour.get("short_at")), behaviour["chunk"]
        for token in range(0, tokens, chunk):
            time.sleep(max(0.0, start + first + gap * token - time.perf_counter()))
            together = range(prompt + token, prompt + min(token + chunk, tokens))
            self.wfile.write("".join(LETTERS[place % len(LETTERS)] for place in together).encode())


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address = True


def main() -> None:
    with Server(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        server.behaviour = {**DEFAULT_BEHAVIOUR, **json.loads(sys.argv[2])}
        server.slots = Slots(server.behaviour)
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
