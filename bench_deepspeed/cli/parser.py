"""The flags, their one help text, and their checks. Imports the standard library only: nothing is installed yet."""

from __future__ import annotations

import argparse

from bench_deepspeed.benchmarks.ab.flags import _ab_parser
from bench_deepspeed.benchmarks.load.flags import _load_parser
from bench_deepspeed.benchmarks.quality.flags import _quality_parser
from bench_deepspeed.benchmarks.run.flags import _run_parser
from bench_deepspeed.benchmarks.selftest.flags import _selftest_parser
from bench_deepspeed.benchmarks.sweep.flags import _sweep_parser
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.results.compare.flags import _compare_parser
from bench_deepspeed.results.flags import _results_parser
from bench_deepspeed.results.report_flags import _report_parser

from .doctor_flags import _doctor_parser


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
    "run": _run_parser,
    "quality": _quality_parser,
    "doctor": _doctor_parser,
    "report": _report_parser,
    "selftest": _selftest_parser,
    "sweep": _sweep_parser,
    "load": _load_parser,
    "compare": _compare_parser,
    "results": _results_parser,
    "ab": _ab_parser,
}
"""Command → what makes its parser."""
