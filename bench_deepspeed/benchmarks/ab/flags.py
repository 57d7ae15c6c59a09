"""The flags of `bench.sh ab`, and the two configurations. Imports nothing that takes time."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
from pathlib import Path

from bench_deepspeed.benchmarks.common.flags import (
    add_common,
    add_gate,
    add_model,
    add_output,
    add_place,
    add_prompt,
)
from bench_deepspeed.core.arguments import Parser, percentage, positive_integer, whole_number
from bench_deepspeed.core.precision import NAMES
from bench_deepspeed.engines import ENGINES
from bench_deepspeed.measure.stopping import MAX_PROCESSES
from bench_deepspeed.model import catalog

PAIRS, EXPENSIVE_PAIRS = 5, 3
EXPENSIVE_LOAD_S = 20
"""Of loading, building kernels and compiling. Where the last pair took longer (the first may have filled caches), there
are `EXPENSIVE_PAIRS`, unless the user says how many."""
PILOT_PAIRS = 5
"""With --detect: after so many, or all where fewer are planned, their own spread decides how many it takes."""
ROUNDS = {"cuda": 10, "cpu": 6}
"""Even: of every two rounds one is AB and one BA."""
MAX_TOKENS = {"cuda": 128, "cpu": 32}
TIME_BUDGET_S = 1200
ONE_DEVICE = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""Variables that select the GPU: both sides share one, whose memory is checked and whose limits are measured."""
VARIABLE = re.compile(r"env\.[A-Za-z_][A-Za-z0-9_]*")
CHOICES = {
    "engine": tuple(ENGINES),
    "precision": NAMES,
    "weights": ("pretrained", "random"),
    "model": tuple(catalog.names()),
}
TENSOR_PARALLEL = "tensor_parallel"
KEYS = (
    f"{', '.join(CHOICES)}, {TENSOR_PARALLEL} (ranks), python (the path of another one) and env.NAME (a variable of "
    "its environment)"
)


def parse_configuration(text: str) -> dict[str, str]:
    """ "engine=mii precision=float16" as a dictionary. Raises ArgumentTypeError for a key or value that is none."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it cannot be read: {error}") from None  # not its text, which may be secret
    settings: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"{word[:20]!r} is not key=value")
        if key in settings:
            raise argparse.ArgumentTypeError(f"{key} is given twice")
        settings[key] = _checked(key, value)
    return settings


def _checked(key: str, value: str) -> str:
    if (name := key.removeprefix("env.")) in ONE_DEVICE:
        raise argparse.ArgumentTypeError(f"{key}: A and B run on one device; set {name} for the whole command")
    if VARIABLE.fullmatch(key):
        return value
    if key == "python":
        return _python(value)
    if key == TENSOR_PARALLEL:
        return str(_ranks(value))
    if key not in CHOICES:
        raise argparse.ArgumentTypeError(f"there is no key {key!r}; there are {KEYS}")
    if value not in CHOICES[key]:
        raise argparse.ArgumentTypeError(f"{key} cannot be {value!r}: it is one of {', '.join(CHOICES[key])}")
    return value


def _ranks(value: str) -> int:
    try:
        return positive_integer(value)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{TENSOR_PARALLEL}: {error}") from None


def _python(value: str) -> str:
    executable = shutil.which(value)
    if executable is None:
        raise argparse.ArgumentTypeError(f"no Python at {value!r}")
    return str(Path(executable).absolute())  # not resolved: a link in a virtual environment identifies that environment


def add(parser) -> None:
    """Add the flags to a parser."""
    for side in ("a", "b"):
        parser.add_argument(
            f"--{side}",
            type=parse_configuration,
            required=True,
            metavar="'KEY=VALUE …'",
            help=f"the configuration {side.upper()}: {KEYS}; keys that are left out have their default",
        )
    _add_scenario(parser)
    parser.add_argument(
        "--warmups",
        type=whole_number,
        metavar="N",
        help="generations of each process before the rounds (default: until the times are steady)",
    )
    parser.add_argument(
        "--processes",
        type=positive_integer,
        metavar="N",
        help=f"fresh pairs of processes; the verdict is over their ratios (default: {PAIRS}, "
        f"or {EXPENSIVE_PAIRS} where loading, with compiling, takes more than {EXPENSIVE_LOAD_S} s)",
    )
    parser.add_argument(
        "--target_ci",
        type=percentage,
        metavar="P%",
        help="more pairs until the 95%% interval of the ratio is ± P%% at most, such as 1%%",
    )
    parser.add_argument(
        "--detect",
        type=percentage,
        metavar="P%",
        help=f"as many pairs, up to {MAX_PROCESSES}, as it takes to show a B that is P%% faster, with 80%% power: by "
        f"the spread of earlier comparisons of the same, and of the first {PILOT_PAIRS} pairs",
    )
    parser.add_argument(
        "--time_budget",
        type=positive_integer,
        metavar="SECONDS",
        help=f"start none of these later than this after the first (default: {TIME_BUDGET_S})",
    )
    add_gate(parser, "B", "A")
    parser.add_argument(
        "--dry_run", action="store_true", help="print what would be done, and whether both fit into memory, and stop"
    )


def _add_scenario(parser) -> None:
    parser.add_argument(
        "-r",
        "--rounds",
        dest="repetitions",
        type=positive_integer,
        metavar="N",
        help="rounds of each pair; in each A and B make one timed generation, in a random order "
        f"(default: {ROUNDS['cuda']}, on cpu {ROUNDS['cpu']})",
    )
    parser.add_argument(
        "-m",
        "--max_tokens",
        type=positive_integer,
        metavar="N",
        help=f"tokens of each generation, exactly (default: {MAX_TOKENS['cuda']}, on cpu {MAX_TOKENS['cpu']})",
    )


def ab_parser() -> Parser:
    """The command line of `bench.sh ab`."""
    parser = Parser(
        prog="bench.sh ab",
        description="Is B faster than A? Loads both at once, times them interleaved, in several pairs of processes, "
        "and answers with the ratio of their tokens/s and its 95% interval.",
    )
    add(parser)
    add_prompt(parser)
    add_model(parser)
    add_place(parser)
    add_output(parser)
    add_common(parser)
    return parser
