"""The flags, their one help text, and their checks. Imports the standard library only: nothing is installed yet."""

from __future__ import annotations

import argparse

from bench_deepspeed.benchmarks.ab.flags import ab_parser
from bench_deepspeed.benchmarks.load.flags import load_parser
from bench_deepspeed.benchmarks.quality.flags import quality_parser
from bench_deepspeed.benchmarks.run.flags import run_parser
from bench_deepspeed.benchmarks.selftest.flags import selftest_parser
from bench_deepspeed.benchmarks.sweep.flags import sweep_parser
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.results.compare.flags import compare_parser
from bench_deepspeed.results.flags import results_parser
from bench_deepspeed.results.report_flags import report_parser

from .doctor_flags import doctor_parser


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse a command line. Raises UsageError; prints the help and exits 0 for -h."""
    if argv and not argv[0].startswith("-"):
        command, rest = argv[0], argv[1:]
    else:
        command, rest = "run", argv
    if command not in PARSERS:
        raise UsageError(f"unknown command {command!r}: there are {', '.join(PARSERS)}; see bench.sh --help")
    options = PARSERS[command]().parse_args(rest)
    options.command = command
    return options


PARSERS = {
    "run": run_parser,
    "quality": quality_parser,
    "doctor": doctor_parser,
    "report": report_parser,
    "selftest": selftest_parser,
    "sweep": sweep_parser,
    "load": load_parser,
    "compare": compare_parser,
    "results": results_parser,
    "ab": ab_parser,
}
"""Command → what makes its parser."""
