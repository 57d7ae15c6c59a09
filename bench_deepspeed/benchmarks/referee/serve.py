"""The process of a server of known times.

    python -m bench_deepspeed.benchmarks.referee.serve <behaviour, JSON> <seed> <port, 0: any free> <file of its log>

Lines on stdout: its port once it listens, and what `server.Server` reports. It writes its log and ends at the end of
stdin, or at a signal to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from pathlib import Path

from pydantic import TypeAdapter

from .schedule import Behaviour
from .server import Server, precise_loop


async def _serve(server: Server, port: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    loop.add_reader(sys.stdin, ended.set)
    _say(str(await server.listen(port)))
    await ended.wait()


def _say(word: str) -> None:
    """Unbuffered, so that nothing is left to write where nobody listens any more."""
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), f"{word}\n".encode())


def main(behaviour: str, seed: str, port: str, file: str) -> None:
    server = Server(TypeAdapter(Behaviour).validate_json(behaviour), int(seed), _say)
    gc.disable()  # a collection would be a lag of the server's own; what it keeps is a log
    precise_loop().run_until_complete(_serve(server, int(port)))
    server.end()
    server.log().save(Path(file))


if __name__ == "__main__":
    main(*sys.argv[1:])
