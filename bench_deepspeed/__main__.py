"""Signals and exit codes."""

from __future__ import annotations

import os
import signal
import sys

from bench_deepspeed.core.errors import BenchError, Terminated


def main(argv: list[str]) -> int:
    """Run one command line. Returns the exit code; a user's mistake is one line on stderr."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP, and means it
            signal.signal(number, _terminate)
    sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a sign is no reason to lose a result
    try:
        from bench_deepspeed.cli import (
            dispatch,
            parser,  # here, where Ctrl-C is caught from the first moment
        )

        code = dispatch.run(argv, parser.parse(argv))
        sys.stdout.flush()  # here, where a reader that went away is caught
        return code
    except BenchError as error:
        print(f"bench.sh: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("bench.sh: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except Terminated as error:
        print("bench.sh: terminated", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away, as `head` does. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _terminate(number: int, _frame) -> None:
    raise Terminated(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
