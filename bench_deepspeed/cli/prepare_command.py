"""`bench.sh prepare`: the weights that a scenario needs, and nothing measured."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench_deepspeed.benchmarks.common.flags import add_choice, add_common, add_dry_run
from bench_deepspeed.benchmarks.common.scenario import PROMPT
from bench_deepspeed.core import paths
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.paths import MODELS
from bench_deepspeed.measure.records import Scenario

if TYPE_CHECKING:
    from bench_deepspeed.weights import Want

LOG = "prepare.log"


def prepare_parser() -> Parser:
    """The command line of `bench.sh prepare`."""
    parser = Parser(
        prog="bench.sh prepare",
        description="Fetches, verifies and converts the weights that `bench.sh run` with the same flags reads, and "
        "stops. It needs no GPU: -d cuda says for which device.",
    )
    add_choice(parser)
    parser.add_argument(
        "--models_dir", type=Path, default=MODELS, metavar="DIR", help="weights go to DIR/<model>/ (default: models/)"
    )
    add_dry_run(parser)
    add_common(parser)
    parser.set_defaults(prompt=PROMPT, max_tokens=None, warmups=0, needs_no_gpu=True)
    parser.set_defaults(processes=None, repetitions=None, target_ci=None, time_budget=None)
    return parser


def show(scenario: Scenario, options) -> int:
    """Print what would be fetched and converted."""
    from bench_deepspeed.benchmarks.common.plan_lines import say_needs, say_subject

    _wanted(scenario)
    say_subject(scenario)
    say_needs(options.models_dir, [scenario])
    return 0


def _wanted(scenario: Scenario) -> Want:
    """The weights that the scenario's engine reads. Raises UsageError where it reads none."""
    from bench_deepspeed.weights.needed import want_of

    if (want := want_of(scenario)) is None:
        raise UsageError(f"--engine {scenario.engine} reads no weights: there is nothing to prepare")
    return want


def run(scenario: Scenario, options) -> int:
    """Make the weights ready and name their folder. Returns the exit code; raises WeightsError and MachineError."""
    from bench_deepspeed.benchmarks.common.prepare import prepare
    from bench_deepspeed.core.progress_bars import Bars
    from bench_deepspeed.weights import store
    from bench_deepspeed.worker.client import WorkerProcess

    want = _wanted(scenario)
    store.require_writable(options.models_dir)
    model: dict = {}
    with Bars() as bars:
        worker = partial(WorkerProcess, options.models_dir / LOG, bars.progress)
        folder = prepare(model, scenario.model, want, models_dir=options.models_dir, worker=worker, bars=bars)
    print(f"ready   {scenario.model} for {scenario.engine} in {scenario.precision}: {paths.shown(folder)}")
    print(f"digest  {model['digest']}")
    return 0
