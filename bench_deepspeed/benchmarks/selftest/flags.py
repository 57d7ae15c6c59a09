"""The flags of `bench.sh selftest`."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.flags import add_choice, add_common, add_dry_run, add_output, add_place
from bench_deepspeed.benchmarks.common.scenario import PROMPT
from bench_deepspeed.core.arguments import Parser, positive_integer


def selftest_parser() -> Parser:
    """The command line of `bench.sh selftest`."""
    parser = Parser(
        prog="bench.sh selftest",
        description="Measures the suite itself: the known latencies of the fake engine; what the suite adds within an "
        "engine's generation; and interleaved generations by the suite and by a bare loop. Exits 1 when they differ by "
        "more than 0.5%, or when the first two cannot be shown.",
    )
    add_choice(parser)
    parser.add_argument(
        "-m",
        "--max_tokens",
        type=positive_integer,
        default=16,
        metavar="N",
        help="tokens of each generation (default: %(default)s)",
    )
    parser.add_argument(
        "--budget",
        type=positive_integer,
        default=120,
        metavar="SECONDS",
        help="a part that takes longer ends without a verdict (default: %(default)s)",
    )
    add_place(parser)
    add_dry_run(parser)
    add_output(parser)
    add_common(parser)
    parser.set_defaults(prompt=PROMPT, warmups=0)
    parser.set_defaults(processes=1, repetitions=1, target_ci=None, time_budget=None)
    return parser
