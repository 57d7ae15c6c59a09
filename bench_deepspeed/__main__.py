"""The process: signals, exit codes, and the parts of the user's environment that must not change a measurement."""

from __future__ import annotations

import errno
import signal
import sys

from bench_deepspeed.core import own_environment, signals, streams
from bench_deepspeed.core.errors import MachineError, as_bench_error
from bench_deepspeed.core.text import one_line, wrapped

ENDED_BY = {signal.SIGINT: "interrupted", signal.SIGXCPU: "the limit of CPU time (ulimit -t) is reached"}


def set_up_process() -> None:
    """Handle signals, and keep variables and terminals of the user's from changing what is measured."""
    signals.install()
    own_environment.clean()
    streams.take_over()


def main(argv: list[str]) -> int:
    """Run one command line. Returns the exit code; a user's mistake is one line on stderr."""
    code = 0
    try:
        signals.admit()
        code = run(argv)
    except SystemExit as end:  # how argparse ends after the help
        code = int(end.code or 0)
    except BaseException:
        if signals.received() is None:
            raise
    ended = signals.exit_code()
    if ended is None:
        return _delivered(code)
    _say(ENDED_BY.get(signals.received(), "terminated"))
    return ended


def _delivered(code: int) -> int:
    """The exit code, or another where what was printed did not arrive: nothing else could say so."""
    failure = streams.failure_of(sys.stdout)
    if failure is None or code:
        return code
    if failure.errno == errno.EPIPE:  # the reader went away, as `head` does
        return 128 + signal.SIGPIPE
    _say(f"error: cannot write to standard output: {failure.strerror}")
    return MachineError.exit_code


def run(argv: list[str]) -> int:
    """What `main` does apart from signals and the process's streams."""
    try:
        from bench_deepspeed.cli import dispatch, parser

        return dispatch.run(argv, parser.parse(argv))
    except Exception as error:
        signals.check()
        if (known := as_bench_error(error)) is None:
            raise
        _say(f"error: {one_line(str(known))}")
        return known.exit_code


def _say(text: str) -> None:
    """A message on standard error: in the lines of a terminal, else in one line, for programs."""
    message = f"bench.sh: {text}"
    print(wrapped(message, streams.columns(sys.stderr), "  ") if sys.stderr.isatty() else message, file=sys.stderr)


if __name__ == "__main__":
    set_up_process()
    ended = main(sys.argv[1:])
    signals.leave()
    sys.exit(ended)
