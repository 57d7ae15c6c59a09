"""The flags of `bench.sh doctor`."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.benchmarks.common.flags import add_help
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.paths import MODELS


def doctor_parser() -> Parser:
    parser = Parser(
        prog="bench.sh doctor",
        description="Reports, line by line, what is there and what is missing, and how to mend it.",
    )
    parser.add_argument("--models_dir", type=Path, default=MODELS, metavar="DIR", help="where weights would go")
    add_help(parser)
    return parser
