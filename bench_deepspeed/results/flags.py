"""The flags of `bench.sh results`. Imports nothing that takes time."""

from __future__ import annotations

import argparse
import datetime
import re
from pathlib import Path

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common.flags import add_common
from bench_deepspeed.core.arguments import Parser, WordsParser, whole_number
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.paths import LOGS

STATUSES = ("complete", "failed", "interrupted", "running", "killed", "unreadable")
HOURS_OF_UNIT = {"h": 1, "d": 24, "w": 7 * 24}


def add(parser) -> None:
    """Add the flags to a parser."""
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    which = parser.add_argument_group("which runs")
    which.add_argument("--model", metavar="NAME", help="of this model, among others")
    which.add_argument("--engine", metavar="NAME", help="of this engine, among others")
    which.add_argument("--kind", choices=tuple(registry.KINDS), help="of this command")
    which.add_argument("--status", choices=STATUSES, help="that ended so; killed: it could not save its status")
    which.add_argument("--commit", metavar="HASH", help="of this commit of the suite, or its beginning")
    which.add_argument("--since", type=_date, metavar="DATE", help="started on this day (UTC) or later: 2026-01-31")
    prune = parser.add_argument_group("prune: what is deleted, of the runs above; nothing without --yes")
    prune.add_argument("--keep", type=whole_number, metavar="N", help="all but the newest N")
    prune.add_argument("--older_than", type=_age, metavar="AGE", help="those started longer ago: 12h, 30d, 8w")
    prune.add_argument("--yes", action="store_true", help="delete them, each with all that its folder holds")
    parser.add_argument_group("other").add_argument("--json", action="store_true", help="print the list as JSON")


def check(options: argparse.Namespace) -> None:
    """Make `action` ("list", "show", "prune") and `id` of the words. Raises UsageError for what cannot be together."""
    words = options.words
    options.action, options.id = "list", None
    if words == ["prune"]:
        options.action = "prune"
    elif words:
        options.action, options.id = "show", words[-1]
        if len(words) > 2 or (len(words) == 2 and words[0] != "show") or words == ["show"]:
            raise UsageError(f"{' '.join(words)!r}: give `show ID`, an ID, `prune`, or nothing to list all")
    limits = options.keep is not None or options.older_than is not None
    if options.action == "prune" and not limits:
        raise UsageError("prune needs --keep N, --older_than AGE, or both")
    if options.action != "prune" and (limits or options.yes):
        raise UsageError("--keep, --older_than and --yes belong to `bench.sh results prune`")
    if options.action != "list" and options.json:
        raise UsageError("--json prints the list: leave out the other word")


def _date(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-01-31") from None


def _age(text: str) -> datetime.timedelta:
    match = re.fullmatch(r"(\d{1,5})([hdw])", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 12h, 30d or 8w")
    return datetime.timedelta(hours=int(match[1]) * HOURS_OF_UNIT[match[2]])


def results_parser() -> Parser:
    parser = WordsParser(
        prog="bench.sh results",
        usage="%(prog)s [[show] ID | prune] [flags]",
        description="Lists the runs, the newest last; shows one as it did itself when it ended; or deletes old ones.",
    )
    add(parser)
    parser.add_argument(
        "--output_dir", type=Path, default=LOGS, metavar="DIR", help="where the runs are (default: logs/ of this suite)"
    )
    add_common(parser)
    return parser
