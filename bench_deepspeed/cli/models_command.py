"""`bench.sh models`: what can be measured, under which licence, how large it is, and whether it fits here.

Imports the standard library alone, as `doctor` does.
"""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.benchmarks.common import precisions
from bench_deepspeed.benchmarks.common.flags import add_help
from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.paths import MODELS
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped
from bench_deepspeed.machine import environment
from bench_deepspeed.model import catalog
from bench_deepspeed.model.catalog import ModelSpec

from .doctor import models
from .doctor.line import OK

INDENT = 10 * " "


def models_parser() -> Parser:
    """The command line of `bench.sh models`."""
    parser = Parser(
        prog="bench.sh models",
        description="Lists the models, whether each fits here, and which engine runs in which precision.",
    )
    parser.add_argument("--models_dir", type=Path, default=MODELS, metavar="DIR", help="where weights would go")
    add_help(parser)
    return parser


def run(options) -> int:
    """Print the models. Returns the exit code."""
    device = environment.default_device()
    memory = models.memory_bytes(device, environment.gpus())
    for name in catalog.names():
        for line in _lines(catalog.load(name), options.models_dir, device, memory):
            print(wrapped(line, columns(), INDENT))
    print(f"\nprecisions of the engines on the {device} (all devices: docs/reference/precisions.md)")
    for engine, reasons in precisions.here(device).items():
        print(wrapped(f"{engine}: {precisions.reasons_text(reasons)}", columns(), INDENT))
    return 0


def _lines(spec: ModelSpec, models_dir: Path, device: str, memory: int) -> list[str]:
    """What there is to say about one model, in lines."""
    check = models.check_model(spec, models.plan(models_dir, spec, device), models_dir, device, memory)
    fits = f"here, on the {device}: {'fits; ' if check.status == OK else ''}{check.detail}"
    return [
        f"{spec.name:<{len(INDENT)}}{spec.title}, {spec.parameters / 1e9:.2f} billion parameters, {spec.licence}",
        INDENT + fits + (f"; {check.remedy}" if check.remedy else ""),
    ]
