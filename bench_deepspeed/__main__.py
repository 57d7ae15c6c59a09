"""The process: signals, exit codes, and the parts of the user's environment that must not change a measurement."""

from __future__ import annotations

import io
import os
import signal
import sys

from bench_deepspeed.core import own_environment, signals
from bench_deepspeed.core.errors import BenchError


def set_up_process() -> None:
    """Handle signals, and keep variables and terminals of the user's from changing what is measured."""
    signals.install()
    own_environment.clean()
    sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character must not cost a result
    if sys.stderr is not None:
        sys.stderr = _StandardError(sys.stderr.fileno(), "w", closefd=False).text(sys.stderr.encoding)


def main(argv: list[str]) -> int:
    """Run one command line. Returns the exit code; a user's mistake is one line on stderr."""
    code = 0
    try:
        code = run(argv)
    except BaseException:
        if signals.received() is None:
            raise
    ended = signals.exit_code()
    if ended is None:
        return code
    print(f"bench.sh: {'interrupted' if signals.received() == signal.SIGINT else 'terminated'}", file=sys.stderr)
    return ended


def run(argv: list[str]) -> int:
    """What `main` does apart from signals and the process's streams."""
    try:
        from bench_deepspeed.cli import dispatch, parser

        code = dispatch.run(argv, parser.parse(argv))
        sys.stdout.flush()  # here, where a reader that went away is caught
        return code
    except BenchError as error:
        signals.check()
        print(f"bench.sh: error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away, as `head` does. Python would report that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


class _StandardError(io.FileIO):
    """Standard error: where nobody reads it, or its disk is full, the measurement goes on."""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)

    def text(self, encoding: str) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BufferedWriter(self), encoding, errors="backslashreplace", line_buffering=True)


if __name__ == "__main__":
    set_up_process()
    sys.exit(main(sys.argv[1:]))
