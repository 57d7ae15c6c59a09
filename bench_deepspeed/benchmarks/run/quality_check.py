"""Whether a run ends with the check of its answers; what that needs is refused before anything starts."""

from __future__ import annotations

import argparse

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.weights.needed import can_check


def is_wanted(scenario: Scenario, options: argparse.Namespace) -> bool:
    """Whether the answers are checked. Raises UsageError for flags and a file of questions that cannot be."""
    wanted = can_check(scenario) and not options.no_quality and not scenario.quick
    if options.fail_on_quality and not wanted:
        raise UsageError(
            "--fail_on_quality, but there is nothing to check: see --weights, --engine, --no_quality, --quick"
        )
    if wanted:
        questions.require_askable(options, scenario.model, scenario.engine)
    return wanted
