"""The flags of `bench.sh quality`."""

from __future__ import annotations

import argparse

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.benchmarks.common.flags import (
    add_choice,
    add_common,
    add_dry_run,
    add_output,
    add_place,
    add_quality,
)
from bench_deepspeed.benchmarks.common.scenario import PROMPT, require_context
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.engines import engine_class
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.weights.needed import can_check


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


def require_questions(scenario: Scenario, options: argparse.Namespace) -> None:
    """Refuse what has no answers, and a file of questions that cannot be. Raises UsageError."""
    if not can_check(scenario):
        raise UsageError(
            "there is nothing to compare: random weights and the fake engine answer nothing; "
            "use --weights pretrained and a real engine"
        )
    asked = questions.load(options.questions)
    require_context(scenario.model, scenario.engine, options.late_tokens or 1, asked.max_tokens)


def precisions_of(scenario: Scenario, options: argparse.Namespace) -> tuple[str, ...]:
    """The precisions that are checked: the one that is named, or every one of the engine."""
    return (options.precision,) if options.precision else engine_class(scenario.engine).precisions[scenario.device]
