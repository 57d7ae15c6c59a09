"""`bench.sh models`: what can be measured, under which licence, how large it is, and whether it fits here.

`models add` makes a manifest of a folder, which is all that a further model takes. Imports the standard library alone,
as `doctor` does.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from bench_deepspeed.benchmarks.common import precisions
from bench_deepspeed.benchmarks.common.flags import add_help
from bench_deepspeed.core.arguments import Parser, WordsParser
from bench_deepspeed.core.errors import MachineError, UsageError, named
from bench_deepspeed.core.json_files import parse_json, read_bytes, write_atomically
from bench_deepspeed.core.paths import MODELS, shown
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped
from bench_deepspeed.machine import environment
from bench_deepspeed.model import catalog, from_config
from bench_deepspeed.model.catalog import ModelSpec

from .doctor import models
from .doctor.line import OK

INDENT = 10 * " "
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
USAGE = "bench.sh models [--models_dir DIR]\n       bench.sh models add FOLDER [--name NAME]"


def models_parser() -> Parser:
    """The command line of `bench.sh models`."""
    parser = WordsParser(
        prog="bench.sh models",
        usage=USAGE,
        description="Lists the models, whether each fits here, and which engine runs in which precision. "
        "`models add FOLDER` adds the one whose config.json and safetensors lie in a folder.",
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--name", metavar="NAME", help="the model's --model_name (default: the folder's name)")
    parser.add_argument("--models_dir", type=Path, default=MODELS, metavar="DIR", help="where weights would go")
    add_help(parser)
    return parser


def run(options) -> int:
    """Print the models, or add one. Returns the exit code. Raises UsageError and MachineError."""
    if options.words:
        return _add(options)
    if options.name is not None:
        raise UsageError("--name belongs to `bench.sh models add FOLDER`")
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
        f"{spec.name:<{len(INDENT) - 1}} {spec.title}, {spec.parameters / 1e9:.2f} billion parameters, {spec.licence}",
        INDENT + fits + (f"; {check.remedy}" if check.remedy else ""),
    ]


def _add(options) -> int:
    """Write the manifest of a folder's model."""
    if len(options.words) != 2 or options.words[0] != "add":
        raise UsageError(f"{' '.join(options.words)!r}: give `add FOLDER`, or nothing to list the models")
    folder = Path(options.words[1]).resolve()
    name = options.name or re.sub(r"[^a-z0-9._-]+", "-", folder.name.lower()).strip("-.")[:64]
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a model: give --name, of small letters, digits, `-`, `.` and `_`")
    if name in catalog.names():
        raise UsageError(f"there is a model {name}: give another --name, or remove {shown(MODELS / name)}.json first")
    file = folder / "config.json"
    with named(file):
        spec = _write(name, folder, from_config.shape_of(parse_json(read_bytes(file), file)))
    print(f"added {name}: {spec.parameters / 1e9:.2f} billion parameters; {shown(MODELS / name)}.json")
    for engine, device in (("mii", "cuda"), ("deepspeed", "cuda"), ("transformers", "cuda")):
        if reason := precisions.refusal(spec, engine, device, "float16"):
            print(wrapped(f"not with {engine}: {reason}", columns(), "  "))
    print(f"next    bench.sh -n {name}")
    return 0


def _write(name: str, folder: Path, shape: dict) -> ModelSpec:
    """Write the manifest. Raises UsageError for a shape that no model has, MachineError where it cannot be written."""
    source = {"kind": "folder", "path": str(folder)}
    manifest = {"title": folder.name, "licence": "its own: see where the folder is from", "source": source}
    spec = catalog.checked(name, {**manifest, "shape": shape})
    try:
        write_atomically(MODELS / f"{name}.json", json.dumps({**manifest, "shape": shape}, indent=2) + "\n")
    except OSError as error:
        raise MachineError(f"cannot write to {MODELS} ({error.strerror}): use a checkout of your own") from error
    return spec
