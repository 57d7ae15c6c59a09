"""A process of its own for everything that imports torch: preparing weights, and one engine.

    python -m bench_deepspeed.worker.server <socket>

The parent sends one JSON object a line over the socket, {"call": function, "arguments": {...}} (see `messages`), and
gets any number of {"progress": ...} lines and one {"result": ...} or {"error": ...} back. Between two calls, and while
one is timed, nothing passes over the socket. Whatever ends the exchange ends this process and its process group: the
end of the parent, the call `state.close`, or a message that cannot be read or sent.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from bench_deepspeed.core.errors import BenchError, as_bench_error

from . import messages
from .state import Worker

Calls = queue.Queue[tuple[str, dict[str, Any]]]
"""Names of functions, and their arguments in JSON."""


def _end_group() -> None:
    """Log the exception that is being handled, if any, and end this process group."""
    try:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
    finally:
        # Not sys.exit: libraries with threads of their own have hung in it.
        os.killpg(0, signal.SIGKILL)


def _read_calls(stream: TextIO, calls: Calls) -> None:
    """Pass the parent's calls on; end this process group when no more can be read."""
    try:
        for line in stream:
            message = json.loads(line)
            calls.put((message["call"], message["arguments"]))
    finally:
        _end_group()


def _answer_calls(calls: Calls, send: Callable[[dict[str, Any]], None]) -> None:
    """Answer the parent's calls until the worker is closed; end this process group then, or when it cannot go on."""

    def fail(error: BenchError) -> None:
        send({"error": dataclasses.asdict(_failure(error))})
        _end_group()

    worker = Worker(lambda label, done, total: send({"progress": [label, done, total]}), fail)
    try:
        while not worker.closed:
            name, arguments = calls.get()
            try:
                send({"result": _answer(worker, name, arguments)})
            except (Exception, SystemExit) as error:
                send({"error": dataclasses.asdict(_failure(error))})
    finally:
        _end_group()


def _answer(worker: Worker, name: str, arguments: dict[str, Any]) -> Any:
    function = messages.function_named(name)
    result = function(worker, **messages.decode_arguments(function, arguments))
    return messages.encode_result(function, result)


def _failure(error: BaseException) -> messages.Failure:
    """An exception as the parent is to raise it again; the traceback of a foreign one goes to the log."""
    if known := as_bench_error(error):
        return messages.Failure(type(known).__name__, str(known))
    traceback.print_exc()
    lines = str(error).strip().splitlines() or [""]
    return messages.Failure("BenchError", f"{type(error).__name__}: {lines[0]}", foreign=True)


def main() -> None:
    """Serve the calls that arrive at the socket whose number is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    channel = socket.socket(fileno=int(sys.argv[1]))
    output, one_at_a_time = channel.makefile("w", encoding="utf-8"), threading.Lock()

    def send(message: dict[str, Any]) -> None:
        sys.stdout.flush()
        line = json.dumps(message) + "\n"
        try:
            with one_at_a_time:  # another thread may report an error meanwhile
                output.write(line)
                output.flush()
        except OSError:  # the parent is gone; the call that reports progress may retry, so it must not see this
            _end_group()

    calls: Calls = queue.Queue()
    stream = channel.makefile("r", encoding="utf-8")
    threading.Thread(target=_read_calls, args=(stream, calls), daemon=True).start()
    _answer_calls(calls, send)


if __name__ == "__main__":
    main()
