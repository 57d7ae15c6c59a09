"""`bench.sh models`: what can be measured, under which licence, how large it is, and whether it fits here.

`models add` makes a manifest of a folder, a GGUF file or a repository of the hub, which is all that a further model
takes. Imports the standard library alone, as `doctor` does, but to read such a file or to ask the hub.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from bench_deepspeed.benchmarks.common import precisions
from bench_deepspeed.benchmarks.common.flags import add_help
from bench_deepspeed.core.arguments import Parser, WordsParser
from bench_deepspeed.core.errors import MachineError, UsageError, named
from bench_deepspeed.core.json_files import parse_json, read_bytes, write_atomically
from bench_deepspeed.core.paths import MODELS, exists, is_file, shown
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped
from bench_deepspeed.machine import environment
from bench_deepspeed.model import catalog, from_config
from bench_deepspeed.model.catalog import ModelSpec

from .doctor import models
from .doctor.line import OK

INDENT = 10 * " "
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
OWN_LICENCE = "its own: see where it is from"
USAGE = """bench.sh models [--models_dir DIR]
       bench.sh models add FOLDER|FILE.gguf [--name NAME]
       bench.sh models add OWNER/NAME [--revision REV] [--name NAME]"""


def models_parser() -> Parser:
    """The command line of `bench.sh models`."""
    parser = WordsParser(
        prog="bench.sh models",
        usage=USAGE,
        description="Lists the models, whether each fits here, and which engine runs in which precision. "
        "`models add` adds one: a folder with config.json and safetensors, a GGUF file, or a repository of the hub.",
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--name", metavar="NAME", help="the model's --model_name (default: the last part of its own)")
    parser.add_argument("--revision", metavar="REV", help="a branch, tag or commit on the hub (default: main)")
    parser.add_argument("--models_dir", type=Path, default=MODELS, metavar="DIR", help="where weights would go")
    add_help(parser)
    return parser


def needs_packages(options) -> bool:
    """Whether a command line reads a GGUF file or asks the hub."""
    return _is_gguf(options) or _asks_hub(options)


def _added(options) -> str:
    """What is to be added; nothing for another command line."""
    return options.words[1] if len(options.words) == 2 and options.words[0] == "add" else ""


def _is_gguf(options) -> bool:
    return _added(options).lower().endswith(".gguf") and is_file(_added(options))


def _asks_hub(options) -> bool:
    """A file or folder of that name comes first."""
    return bool(HUB_ID.fullmatch(_added(options))) and not exists(_added(options))


def run(options) -> int:
    """Print the models, or add one. Returns the exit code. Raises UsageError, MachineError and WeightsError."""
    if options.words:
        return _add(options)
    for flag in ("name", "revision"):
        if getattr(options, flag) is not None:
            raise UsageError(f"--{flag} belongs to `bench.sh models add`")
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
    """Write the manifest of another model."""
    if not _added(options):
        raise UsageError(f"{' '.join(options.words)!r}: give `add FOLDER`, or nothing to list the models")
    if options.revision is not None and not _asks_hub(options):
        raise UsageError("--revision is for a repository of the hub, OWNER/NAME")
    name = _name(options)
    read = _of_hub if _asks_hub(options) else _of_gguf if _is_gguf(options) else _of_folder
    spec = _write(name, read(options))
    print(f"added {name}: {spec.parameters / 1e9:.2f} billion parameters; {shown(catalog.own_file(name))}")
    for engine in ("mii", "deepspeed", "transformers"):
        if reason := precisions.refusal(spec, engine, "cuda", "float16"):
            print(wrapped(f"not with {engine}: {reason}", columns(), "  "))
    print(f"next    bench.sh -n {name}")
    return 0


def _name(options) -> str:
    """The name of a model to add. Raises UsageError for one that is none, or that another model has."""
    last = Path(_added(options)).resolve().name.removesuffix(".gguf")
    name = options.name or re.sub(r"[^a-z0-9._-]+", "-", last.lower()).strip("-.")[:64]
    if not NAME.fullmatch(name) or name == catalog.OWN:
        raise UsageError(f"{name!r} is no name of a model: give --name, of small letters, digits, `-`, `.` and `_`")
    if name in catalog.names():
        file = shown(catalog.file_of(name))
        raise UsageError(f"there is a model {name}: give another --name, or remove {file} first")
    return name


def _of_folder(options) -> dict[str, Any]:
    folder = Path(_added(options)).resolve()
    file = folder / "config.json"
    with named(file):
        shape = from_config.shape_of(parse_json(read_bytes(file), file))
    source = {"kind": "folder", "path": str(folder)}
    return {"title": folder.name, "licence": OWN_LICENCE, "source": source, "shape": shape}


def _of_gguf(options) -> dict[str, Any]:
    from bench_deepspeed.core.progress_bars import Bars
    from bench_deepspeed.weights import gguf_file  # needs Transformers

    file = Path(_added(options)).resolve()
    with Bars() as bars, bars.spinner(f"reading {file.name}"), named(file):
        shape = from_config.shape_of(gguf_file.config_of(file))
        source = gguf_file.source_of(file)
    return {"title": file.stem, "licence": OWN_LICENCE, "source": source, "shape": shape}


def _of_hub(options) -> dict[str, Any]:
    from bench_deepspeed.weights import hub_model  # needs huggingface_hub

    manifest, config = hub_model.read(_added(options), options.revision or "main")
    with named(Path(_added(options))):
        return {**manifest, "shape": from_config.shape_of(config)}


def _write(name: str, manifest: dict[str, Any]) -> ModelSpec:
    """Write the manifest. Raises UsageError for a shape that no model has, MachineError where it cannot be written."""
    spec = catalog.checked(name, manifest)
    file = catalog.own_file(name)
    try:
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise MachineError(f"cannot write to {file.parent} ({error.strerror}): use a checkout of your own") from error
    return spec
