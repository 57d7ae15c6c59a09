"""`bench.sh completion`: a script that completes commands, flags and choices, made from the parsers."""

from __future__ import annotations

import argparse

from bench_deepspeed.benchmarks.common.flags import add_common
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.streams import write_exactly

from . import commands

SHELLS = ("bash", "zsh")
PROGRAM = "bench.sh"


def completion_parser() -> Parser:
    """The command line of `bench.sh completion`."""
    parser = Parser(
        prog="bench.sh completion",
        description="Prints a script that completes commands, flags and choices. For bash: source it. For zsh: save it "
        "as _bench.sh in a folder of $fpath.",
    )
    parser.add_argument("shell", choices=SHELLS)
    add_common(parser)
    return parser


def run(options) -> int:
    """Print the script. Returns the exit code."""
    import shtab

    write_exactly(shtab.complete(_whole_parser(), shell=options.shell) + "\n")
    return 0


def _whole_parser() -> argparse.ArgumentParser:
    """All commands in one parser, as argparse has subcommands; without one, the flags of `run`."""
    whole = argparse.ArgumentParser(PROGRAM, parents=[commands.COMMANDS["run"].make_parser()], add_help=False)
    group = whole.add_subparsers()
    for name, command in commands.COMMANDS.items():
        group.add_parser(name, parents=[command.make_parser()], add_help=False, help=command.help)
    return whole
