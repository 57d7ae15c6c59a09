"""The flags of `bench.sh report`, and which of them go together."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench_deepspeed.benchmarks.common.flags import add_common, add_gpu_hour
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.errors import UsageError

FORMATS = ("markdown", "csv", "jsonl", "html", "vllm", "llama-bench", "bencher", "openmetrics")


def add(parser: argparse.ArgumentParser) -> None:
    """Add them to the command's parser."""
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="result.json, quality.json, sweep.json, load.json, ab.json, selftest.json or referee.json, by any name "
        "(default: all in docs/results/)",  # not asked of the kinds, whose import would double the time of the help
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="write them as this, instead of rendering the documents; vllm: load tests as `vllm bench serve` writes "
        "them, one level a line; llama-bench: runs and sweeps as llama.cpp's benchmark writes them; bencher: Bencher "
        "Metric Format; openmetrics: what Prometheus reads",
    )
    parser.add_argument("--output", type=Path, metavar="PATH", help="where to (default: standard output)")
    add_gpu_hour(parser)
    parser.add_argument("--samples", action="store_true", help="one line a raw sample, not a result: csv and jsonl")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when a table differs from its evidence"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compute all that is derived in the files again, from their samples; exit 1 when anything differs",
    )


def check(options: argparse.Namespace) -> None:
    """Refuse what does not go together. Raises UsageError."""
    if options.verify and (options.format or options.check or options.output or options.samples):
        raise UsageError("--verify writes nothing: it goes with FILEs alone")
    if not options.verify and options.format is None and (options.files or options.output or options.samples):
        raise UsageError(f"FILE, --output and --samples need a --format: {', '.join(FORMATS)}")
    if options.gpu_hour is not None and options.format is None:
        raise UsageError("--gpu_hour goes with a --format: the documents have no price")
    if options.format and options.check:
        raise UsageError("--check is about the documents: leave out --format")
    if options.output and os.path.realpath(options.output) in map(os.path.realpath, options.files):
        raise UsageError(f"--output {options.output} is one of the files to read: it would be lost")
    if options.samples and options.format not in ("csv", "jsonl"):
        raise UsageError("--samples is for --format csv and jsonl")
    if options.format == "html" and options.output is None and sys.stdout.isatty():
        raise UsageError("a page of megabytes does not belong on a terminal: name a file with --output")


def report_parser() -> Parser:
    parser = Parser(
        prog="bench.sh report",
        description="Renders the tables between the markers in README.md and docs/ from docs/results/*.json. With "
        "--format, writes results as Markdown, CSV, JSON lines or one HTML page instead; with --verify, computes again "
        "what is derived in them.",
    )
    add(parser)
    add_common(parser)
    return parser
