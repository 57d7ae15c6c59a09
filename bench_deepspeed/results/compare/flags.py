"""The flags of `bench.sh compare`. Imports nothing that takes time."""

from __future__ import annotations

import argparse
from pathlib import Path
from string import ascii_lowercase

from bench_deepspeed.benchmarks.common.flags import add_common, add_gate, check_gate
from bench_deepspeed.core.arguments import Parser, WordsParser
from bench_deepspeed.core.errors import UsageError


def add(parser) -> None:
    """Add the flags of a comparison to a parser."""
    parser.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="result.json files, or folders of runs; the first is the baseline, a",
    )
    parser.add_argument(
        "--force", action="store_true", help="compare what is not comparable too, and say so in the output"
    )
    add_gate(parser, "one", "the first")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")


def check(options: argparse.Namespace) -> None:
    """Raises UsageError for what cannot be together."""
    if not 2 <= len(options.files) <= len(ascii_lowercase):
        given, most = len(options.files), len(ascii_lowercase)
        raise UsageError(f"give two to {most} files to compare, not {given}; see bench.sh compare --help")
    if options.force and options.fail_on_regression is not None:
        raise UsageError("--fail_on_regression judges what is comparable: leave out --force")
    check_gate(options)


def compare_parser() -> Parser:
    parser = WordsParser(
        prog="bench.sh compare",
        usage="%(prog)s FILE FILE [FILE ...] [flags]",
        description="Shows what differs between saved results of the same work, and each metric with its ratio to the "
        "first; whether tokens/s differ follows from a 95% interval over processes.",
    )
    add(parser)
    add_common(parser)
    return parser
