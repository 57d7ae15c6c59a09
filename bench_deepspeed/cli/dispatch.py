"""What a command line asks for: checked, then done in a Python that has the packages."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

from bench_deepspeed.core import command_line
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.streams import write_exactly
from bench_deepspeed.machine.python_env import ensure_environment, require_address_space

from .commands import COMMANDS


def run(argv: list[str], options: argparse.Namespace) -> int:
    """Run the command of one command line. Returns the exit code; raises BenchError.

    Where packages have to be set up, the process is replaced by one that does the same with `argv`.
    """
    command_line.keep(options.command_line)
    command = COMMANDS[options.command]
    as_json = command.measures and options.json
    if as_json and getattr(options, "dry_run", False):
        raise UsageError("--json prints a result, and --dry_run makes none: leave out one of them")
    work = command.prepare(options)
    if command.needs_packages(options):
        require_address_space()
        ensure_environment(argv, bool(os.environ.get("BENCH_PYTHON")) or options.no_setup, command.light)
    if command.measures and options.quiet and command.needs_packages(options):
        _silence()
    return _printed(work, io.StringIO() if options.quiet else sys.stderr) if as_json else work()


def _silence() -> None:
    from bench_deepspeed.core import progress_bars  # needs tqdm, which is there now

    progress_bars.silence()


def _printed(work: Callable[[], int], other: TextIO) -> int:
    """Do the work with all that it prints on another stream, and print the file of its result, however it ended."""
    from bench_deepspeed.benchmarks.common import run_folder

    try:
        with contextlib.redirect_stdout(other):
            return work()
    finally:
        if run_folder.opened:
            write_exactly(run_folder.opened[0].read_text(encoding="utf-8"))
