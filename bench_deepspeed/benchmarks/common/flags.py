"""Flags that several commands share."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed import __version__
from bench_deepspeed.core.arguments import _count
from bench_deepspeed.core.paths import LOGS, MODELS
from bench_deepspeed.core.precision import PRECISIONS
from bench_deepspeed.engines import DEFAULTS, ENGINES
from bench_deepspeed.model import catalog

from .scenario import MODEL


def _add_common_flags(group) -> None:
    group.add_argument(
        "--no_setup",
        action="store_true",
        help="use the Python at hand (or $BENCH_PYTHON) as it is: for containers and clusters",
    )
    group.add_argument("--version", action="version", version=__version__)
    _add_help(group)


def _add_help(group) -> None:
    group.add_argument("-h", "--help", action="help", help="show this and stop")


def _add_choice_flags(group, default_precision: str = "float16 on cuda, float32 on cpu") -> None:
    _add_model_flags(group)
    group.add_argument(
        "--engine", choices=ENGINES, help=f"default: {DEFAULTS['cuda']} on cuda, {DEFAULTS['cpu']} on cpu"
    )
    group.add_argument(
        "--precision",
        choices=tuple(PRECISIONS),
        help=f"default: {default_precision}; an engine refuses what it cannot do",
    )


def _add_model_flags(group) -> None:
    group.add_argument(
        "-d",
        "--device",
        choices=("cuda", "cpu", "metal"),
        help="default: cuda where a usable GPU is, else cpu; metal is refused",
    )
    group.add_argument(
        "-n",
        "--model_name",
        choices=catalog.names(),
        help=f"the model (default: {MODEL['cuda']} on cuda, {MODEL['cpu']} on cpu)",
    )
    group.add_argument(
        "--weights",
        choices=("pretrained", "random"),
        default="pretrained",
        help="random: the model's shape with seeded random values, for speed only (default: pretrained)",
    )
    group.add_argument(
        "--seed",
        type=_count,
        default=0,
        metavar="N",
        help="of the random weights, and of the prompts of a sweep (default: 0)",
    )


def _add_place_flags(group) -> None:
    group.add_argument(
        "--output_dir",
        type=Path,
        default=LOGS,
        metavar="DIR",
        help="results go to DIR/<model>/<time>/ (default: logs/ of this suite)",
    )
    group.add_argument(
        "--models_dir",
        type=Path,
        default=MODELS,
        metavar="DIR",
        help="weights go to DIR/<model>/ (default: models/ of this suite)",
    )
