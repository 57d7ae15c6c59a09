"""The flags of `bench.sh quality`."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.benchmarks.common.flags import _add_choice_flags, _add_common_flags, _add_place_flags
from bench_deepspeed.benchmarks.common.scenario import PROMPT
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.paths import QUESTIONS


def _quality_parser() -> Parser:
    parser = Parser(
        prog="bench.sh quality",
        description="Asks the questions in every precision of the engine (or the one named), and compares the answers "
        "and the logits with Transformers in float32, beside Transformers in the same precision.",
    )
    _add_choice_flags(parser, default_precision="every one of the engine")
    _add_quality_flags(parser)
    _add_place_flags(parser)
    _add_common_flags(parser)
    parser.set_defaults(prompt=PROMPT, max_tokens=None, warmups=0)
    parser.set_defaults(processes=None, repetitions=None, target_ci=None, time_budget=None)
    return parser


def _add_quality_flags(group) -> None:
    group.add_argument(
        "--questions",
        type=Path,
        metavar="FILE",
        default=QUESTIONS,
        help="your own: JSON as in docs/methodology.md, or text with one prompt a line (default: the suite's five)",
    )
    group.add_argument(
        "--reference_device",
        choices=("cuda", "cpu"),
        help="where float32 is computed, once (default: the run's device)",
    )
    group.add_argument(
        "--fail_on_quality", action="store_true", help="exit 5 when a verdict is outside the noise floor"
    )
