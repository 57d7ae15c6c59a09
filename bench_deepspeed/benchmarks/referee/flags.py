"""The flags of `bench.sh referee`. Imports the standard library alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench_deepspeed.benchmarks.common.flags import add_common, add_dry_run, add_output
from bench_deepspeed.core import number_lists
from bench_deepspeed.core.arguments import WordsParser, port, positive_integer, whole_number
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.paths import LOGS, ROOT

from .scenarios import SCENARIOS
from .tools import TOOLS

REPETITIONS = 5
TOOLS_DIR = ROOT / ".referee"
SERVE = "serve"


def referee_parser() -> WordsParser:
    """The command line of `bench.sh referee`."""
    parser = WordsParser(
        prog="bench.sh referee",
        usage="%(prog)s [serve] [flags]",
        description="Measures benchmark tools: each sends requests to a server whose times are known, and what it "
        "reports is compared with what the server did. With serve, only that server runs, for a tool of your own.",
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    _add_what(parser.add_argument_group("what is run"))
    serve = parser.add_argument_group("serve: one scenario's server, until Ctrl-C")
    serve.add_argument("--port", type=port, metavar="N", help="where it listens (default: any free one)")
    serve.add_argument(
        "--log", type=Path, metavar="FILE", help="its log, written at the end: when each chunk was handed over"
    )
    other = parser.add_argument_group("other")
    other.add_argument(
        "--tools_dir",
        type=Path,
        default=TOOLS_DIR,
        metavar="DIR",
        help="the tools' virtual environments; what is missing is installed (default: .referee/ of this suite)",
    )
    other.add_argument(
        "--output_dir",
        type=Path,
        default=LOGS,
        metavar="DIR",
        help="results go to DIR/referee/<time>/ (default: logs/ of this suite)",
    )
    other.add_argument(
        "--resume",
        type=Path,
        metavar="PATH",
        help="continue this one (its folder or referee.json) with its settings; --repetitions may be more",
    )
    add_dry_run(other)
    add_output(other)
    add_common(other)
    return parser


def _add_what(group) -> None:
    group.add_argument(
        "--tools",
        type=number_lists.names_among(tuple(TOOLS), tuple(TOOLS)),
        metavar="LIST",
        help=f"of {', '.join(TOOLS)}; ours is `bench.sh load` (default: all)",
    )
    group.add_argument(
        "--scenarios",
        type=number_lists.names_among(tuple(SCENARIOS), tuple(SCENARIOS)),
        metavar="LIST",
        help=f"of {', '.join(SCENARIOS)} (default: all)",
    )
    group.add_argument(
        "-r",
        "--repetitions",
        type=positive_integer,
        metavar="N",
        help=f"runs of each tool in each scenario, in a drawn order (default: {REPETITIONS})",
    )
    group.add_argument(
        "--seed", type=whole_number, metavar="N", help="of the servers' times and the order (default: 0)"
    )


def check(options: argparse.Namespace) -> None:
    """Raises UsageError for flags that do not go together."""
    if options.words not in ([], [SERVE]):
        raise UsageError(f"{' '.join(options.words)!r}: give `{SERVE}`, or nothing")
    options.serve = options.words == [SERVE]
    if options.serve:
        if len(options.scenarios or ()) != 1:
            raise UsageError(f"{SERVE} needs one of --scenarios {', '.join(SCENARIOS)}")
        others = {"--tools": options.tools, "--repetitions": options.repetitions, "--resume": options.resume}
    else:
        others = {"--port": options.port, "--log": options.log}
    for flag in (flag for flag, value in others.items() if value is not None):
        raise UsageError(f"{flag} does not go with `{SERVE}`" if options.serve else f"{flag} belongs to `{SERVE}`")
