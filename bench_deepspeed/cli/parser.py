"""The command line as options. Imports the standard library only: nothing is installed yet."""

from __future__ import annotations

import argparse

from bench_deepspeed.core.errors import UsageError

from .commands import COMMANDS


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse a command line. Raises UsageError; prints the help and exits 0 for -h."""
    if argv and not argv[0].startswith("-"):
        name, rest = argv[0], argv[1:]
    else:
        name, rest = "run", argv
    if name not in COMMANDS:
        raise UsageError(f"unknown command {name!r}: there are {', '.join(COMMANDS)}; see bench.sh --help")
    options = COMMANDS[name].parse(rest)
    options.command = name
    return options
