"""The flags of `bench.sh quality`."""

from __future__ import annotations

import argparse

from bench_deepspeed.benchmarks.common import precisions, questions, tensor_parallel
from bench_deepspeed.benchmarks.common.flags import (
    add_common,
    add_dry_run,
    add_engine,
    add_model,
    add_output,
    add_place,
    add_precisions,
    add_quality,
    add_tensor_parallel,
)
from bench_deepspeed.benchmarks.common.scenario import PROMPT
from bench_deepspeed.core import capabilities
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.precision import NAMES
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.model import catalog
from bench_deepspeed.weights.needed import can_check


def quality_parser() -> Parser:
    """The command line of `bench.sh quality`."""
    parser = Parser(
        prog="bench.sh quality",
        description="Asks the questions in every precision of the engine (or the one named), and compares the answers "
        "and the logits with Transformers in float32, and with another implementation of the same precision.",
    )
    add_model(parser)
    add_engine(parser)
    add_precisions(parser, "--precision", "every one of the engine")
    add_tensor_parallel(parser)
    add_quality(parser)
    add_place(parser)
    add_dry_run(parser)
    add_output(parser)
    add_common(parser)
    parser.set_defaults(precision=None, prompt=PROMPT, max_tokens=None, warmups=0)
    parser.set_defaults(processes=None, repetitions=None, target_ci=None, time_budget=None)
    return parser


def require_questions(scenario: Scenario, options: argparse.Namespace) -> None:
    """Refuse what has no answers, and a file of questions that cannot be. Raises UsageError."""
    if not can_check(scenario):
        raise UsageError(
            "there is nothing to compare: random weights and the fake engine answer nothing; "
            "use --weights pretrained and a real engine"
        )
    questions.require_askable(options, scenario.model, scenario.engine)


def precisions_of(scenario: Scenario, options: argparse.Namespace) -> tuple[str, ...]:
    """The precisions that are checked: those that are named, or every one that the engine runs in here.

    Raises UsageError and MachineError for a named one that it does not run in.
    """
    where = (scenario.engine, scenario.device)
    spec, named = catalog.load(scenario.model), options.precisions
    if named is None or named == list(NAMES):
        ranks = scenario.tensor_parallel
        can = [
            name
            for name in NAMES
            if not precisions.refusal(spec, *where, name) and not tensor_parallel.refusal(spec, *where, name, ranks)
        ]
        return tuple(name for name in can if not precisions.lacking(capabilities.cell(*where, name), name))
    for name in named:
        precisions.require_possible(spec, *where, name)
        tensor_parallel.require_possible(spec, *where, name, scenario.tensor_parallel)
        if not options.dry_run:
            precisions.require_here(*where, name)
    return tuple(named)
