"""The command line as options. Imports the standard library only: nothing is installed yet."""

from __future__ import annotations

import argparse

from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.text import closest

from . import settings_file
from .commands import COMMANDS


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse a command line. Raises UsageError; prints the help and exits 0 for -h, and for `help` with a command."""
    name, words = _command(argv)
    if name == "help":
        name, words = _command([*words[:1], "--help"])
    if name not in COMMANDS:
        raise UsageError(
            f"unknown command {name!r}{closest(name, COMMANDS)}: there are {', '.join(COMMANDS)}; see bench.sh --help"
        )
    parsers = {command: entry.make_parser for command, entry in COMMANDS.items()}
    words = settings_file.expanded(words, name, parsers)
    options = parsers[name]().parse_args(words)
    options.command = name
    options.command_line = [name, *words] if name in argv[:1] or name != "run" else words
    return options


def _command(words: list[str]) -> tuple[str, list[str]]:
    """The command and what follows it; without one it is `run`."""
    named = bool(words) and not words[0].startswith("-")
    return (words[0], words[1:]) if named else ("run", words)
