"""Commands, signals and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module

from . import cli
from .bootstrap import ensure_environment
from .errors import BenchError, Terminated

RUNNERS = {"run": ".runner", "quality": ".quality.check", "selftest": ".selftest", "load": ".load.command"}
"""Commands about a scenario → the module whose `run` does them."""


def main(argv: list[str]) -> int:
    """Run one command line. Returns the exit code; a user's mistake is one line on stderr."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP, and means it
            signal.signal(number, _terminate)
    try:
        code = _dispatch(argv, cli.parse(argv))
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


def _dispatch(argv: list[str], options) -> int:
    if options.command not in RUNNERS:
        return _without_scenario(argv, options)
    if options.command == "load":
        from .load.flags import check

        check(options)
    scenario = cli.scenario_of(options)
    if options.command == "run" and options.dry_run:
        from .dry_run import show

        return show(scenario, options)
    _set_up(argv, options)
    return import_module(RUNNERS[options.command], __package__).run(scenario, options)


def _without_scenario(argv: list[str], options) -> int:
    """The commands that do not measure one single scenario."""
    if options.command == "doctor":
        from .doctor import run

        return run(options)
    if options.command == "report":
        from .reports.flags import check

        check(options)
        _set_up(argv, options)
        return import_module(".reports.export" if options.format else ".reports.markdown", __package__).run(options)
    if not options.dry_run or options.resume:  # the plan alone needs nothing installed, and a saved sweep does
        _set_up(argv, options)
    if options.dry_run:
        from .sweep.dry_run import show

        return show(options)
    from .sweep.run import run as sweep

    return sweep(options)


def _set_up(argv: list[str], options) -> None:
    ensure_environment(argv, bool(os.environ.get("BENCH_PYTHON")) or getattr(options, "no_setup", False))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
