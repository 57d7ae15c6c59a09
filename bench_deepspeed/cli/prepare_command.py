"""`bench.sh prepare`: the weights that a scenario needs, and nothing measured."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.common.flags import add_choice, add_common
from bench_deepspeed.benchmarks.common.scenario import PROMPT
from bench_deepspeed.core import paths
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.paths import MODELS
from bench_deepspeed.measure.records import Scenario

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
    add_common(parser)
    parser.set_defaults(prompt=PROMPT, max_tokens=None, warmups=0, needs_no_gpu=True)
    parser.set_defaults(processes=None, repetitions=None, target_ci=None, time_budget=None)
    return parser


def run(scenario: Scenario, options) -> int:
    """Make the weights ready and name their folder. Returns the exit code; raises WeightsError and MachineError."""
    from bench_deepspeed.benchmarks.common.prepare import prepare
    from bench_deepspeed.core.progress_bars import Bars
    from bench_deepspeed.weights import store
    from bench_deepspeed.weights.needed import want_of
    from bench_deepspeed.worker.client import WorkerProcess

    want = want_of(scenario)
    if want is None:
        raise UsageError(f"--engine {scenario.engine} reads no weights: there is nothing to prepare")
    store.require_writable(options.models_dir)
    model: dict = {}
    with Bars() as bars:
        worker = partial(WorkerProcess, options.models_dir / LOG, bars.progress)
        folder = prepare(model, scenario.model, want, models_dir=options.models_dir, worker=worker, bars=bars)
    print(f"ready   {scenario.model} for {scenario.engine} in {scenario.precision}: {paths.shown(folder)}")
    print(f"digest  {model['digest']}")
    return 0
