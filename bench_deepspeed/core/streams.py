"""Standard output and standard error: where nobody can read them, a measurement goes on, and no text controls them."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from .text import harmless

COLUMNS = 80
"""The narrowest terminal that is filled, and the width of text that goes to a file or a pipe."""


def columns(stream: Any = None) -> int:
    """Columns of the terminal that a stream is (None: standard output), never fewer than 80; 80 where it is none."""
    try:
        return max(COLUMNS, os.get_terminal_size((stream or sys.stdout).fileno()).columns)
    except (OSError, ValueError, AttributeError):  # no terminal; not a file; closed
        return COLUMNS


class TolerantFile(io.FileIO):
    """A file descriptor. A write that fails is dropped, as are all that follow; `failure` says why."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        if self.failure is None:
            try:
                return super().write(data)
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes


class HarmlessText(io.TextIOWrapper):
    """A text stream on which no text moves the cursor, changes colours or the order of letters."""

    def write(self, text: str) -> int:
        return super().write(harmless(text))


def write_exactly(text: str) -> None:
    """Write what another program is to read, in UTF-8, to standard output; as other text where that is a terminal."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8")
    if isinstance(stream, HarmlessText) and not stream.isatty():
        io.TextIOWrapper.write(stream, text)
    else:
        stream.write(text)


def take_over() -> None:
    """Put such streams in the place of `sys.stdout` and `sys.stderr`.

    Numbers that a shell has closed lead to nowhere first: a file that is opened later would get one of them, and with
    it what libraries and workers print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for name, number, errors in (("stdout", 1, "replace"), ("stderr", 2, "backslashreplace")):
        file, before = TolerantFile(number, "w", closefd=False), getattr(sys, name)
        encoding, lines = before.encoding if before else "utf-8", file.isatty() or name == "stderr"
        setattr(sys, name, HarmlessText(io.BufferedWriter(file), encoding, errors=errors, line_buffering=lines))


def failure_of(stream: io.TextIOWrapper) -> OSError | None:
    """Why what was written to a stream did not all arrive; None where it did."""
    stream.flush()
    return getattr(getattr(stream.buffer, "raw", None), "failure", None)
