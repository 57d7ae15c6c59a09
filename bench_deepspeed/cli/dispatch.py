"""What a command line asks for: checked, then done in a Python that has the packages."""

from __future__ import annotations

import argparse
import os

from bench_deepspeed.core import command_line
from bench_deepspeed.machine.python_env import ensure_environment

from .commands import COMMANDS


def run(argv: list[str], options: argparse.Namespace) -> int:
    """Run the command of one command line. Returns the exit code; raises BenchError.

    Where packages have to be set up, the process is replaced by one that does the same with `argv`.
    """
    command_line.keep(argv)
    command = COMMANDS[options.command]
    work = command.prepare(options)
    if command.needs_packages(options):
        ensure_environment(argv, bool(os.environ.get("BENCH_PYTHON")) or options.no_setup)
    return work()
