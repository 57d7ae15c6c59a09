"""The flags of `bench.sh quality`."""

from __future__ import annotations

import argparse

from bench_deepspeed.benchmarks.common.flags import (
    add_choice,
    add_common,
    add_dry_run,
    add_output,
    add_place,
    add_quality,
)
from bench_deepspeed.benchmarks.common.scenario import PROMPT
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.engines import engine_class
from bench_deepspeed.measure.records import Scenario


def quality_parser() -> Parser:
    """The command line of `bench.sh quality`."""
    parser = Parser(
        prog="bench.sh quality",
        description="Asks the questions in every precision of the engine (or the one named), and compares the answers "
        "and the logits with Transformers in float32, and with Transformers in the same precision.",
    )
    add_choice(parser, default_precision="every one of the engine")
    add_quality(parser)
    add_place(parser)
    add_dry_run(parser)
    add_output(parser)
    add_common(parser)
    parser.set_defaults(prompt=PROMPT, max_tokens=None, warmups=0)
    parser.set_defaults(processes=None, repetitions=None, target_ci=None, time_budget=None)
    return parser


def precisions_of(scenario: Scenario, options: argparse.Namespace) -> tuple[str, ...]:
    """The precisions that are checked: the one that is named, or every one of the engine."""
    return (options.precision,) if options.precision else engine_class(scenario.engine).precisions[scenario.device]
