"""The flags of `bench.sh doctor`, its checks in their order, and what follows from them."""

from __future__ import annotations

import sys
from pathlib import Path

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.common import precisions
from bench_deepspeed.benchmarks.common.flags import add_help
from bench_deepspeed.benchmarks.common.scenario import MODEL
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.paths import LOGS, MODELS
from bench_deepspeed.core.ports import MII_LISTENS, SERVE_LISTENS
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped
from bench_deepspeed.machine import environment
from bench_deepspeed.model import catalog
from bench_deepspeed.model.catalog import ModelSpec

from . import machine, models, network, software
from .line import BLOCKER, INDENT, MISSING, NOTE, WARNING, Line, is_ok


def doctor_parser() -> Parser:
    parser = Parser(
        prog="bench.sh doctor",
        description="Reports, line by line, what is there and what is missing, and how to fix it.",
    )
    parser.add_argument("--models_dir", type=Path, default=MODELS, metavar="DIR", help="where weights would go")
    add_help(parser)
    return parser


def run(options) -> int:
    """Print every check as it is made, then what the machine can run. Raises MachineError where it can run nothing."""
    checks: list[Line] = []

    def show(*lines: Line) -> None:
        for line in lines:
            print(wrapped(str(line), columns(), INDENT), flush=True)
        checks.extend(lines)

    python = software.check_python(sys.version_info[:3])
    show(python, software.check_environment(), software.check_pins(), *software.check_data())
    gpus = environment.gpus()
    show(*machine.check_cuda(gpus, machine.torch_cuda()))
    device = machine.usable_device(checks)
    specs = [catalog.load(name) for name in catalog.names()]
    plans = {spec.name: models.plan(options.models_dir, spec, device) for spec in specs}
    writes = bool(plans[MODEL["cpu"]])
    show(models.check_folder("models folder", options.models_dir, "--models_dir", BLOCKER if writes else WARNING))
    show(models.check_folder("results folder", LOGS, "--output_dir", WARNING))
    memory = models.memory_bytes(device, gpus)
    show(*(models.check_model(spec, plans[spec.name], options.models_dir, device, memory) for spec in specs))
    runs = {engine: precisions.runs_text(reasons) for engine, reasons in precisions.here(device).items()}
    show(Line(NOTE, "precisions", "; ".join(map(": ".join, runs.items())), "`bench.sh models` says why no others"))
    show(network.check_login(), network.check_hub(), *network.check_ports(network.USUAL_PORTS))
    show(Line(NOTE, "network", MII_LISTENS), Line(NOTE, "network of load --target serve", SERVE_LISTENS))
    blockers = [check.name for check in checks if check.status == BLOCKER]
    if blockers:
        raise MachineError(f"this machine cannot run the suite yet: fix {', '.join(blockers)}, as the lines above say")
    print(wrapped(summary(checks, specs, plans, device), columns(), INDENT))
    return 0


def summary(checks: list[Line], specs: list[ModelSpec], plans: dict[str, list[weights.Step]], device: str) -> str:
    """The last line: which models run here, where and with which weights."""
    fetches = is_ok(checks, "hub") and is_ok(checks, "hub login")
    fitting = [spec.name for spec in specs if is_ok(checks, models.check_name(spec))]
    at_hand = [n for n in fitting if fetches or not any(step.download_bytes for step in plans[n])]
    random_only = [name for name in fitting if name not in at_hand]
    # A GPU that MII's kernels suit is the default, even while something else that they need is missing.
    place = "the cpu (give -d cpu)" if device == "cpu" and is_ok(checks, "GPU") else models.PLACES[device]
    runs = [f"{', '.join(at_hand)} on {place}"]
    if random_only:
        runs.append(f"{', '.join(random_only)} with --weights random on {place}")
    if device != "cpu":
        runs.append(f"{MODEL['cpu']} on the cpu")
    lacks = any(c.status == MISSING and c.name.startswith(("environment", "packages", "model data")) for c in checks)
    return ("once set up, " if lacks else "") + f"this machine runs: {'; '.join(runs)}"
