"""The flags that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench_deepspeed import __version__
from bench_deepspeed.core import number_lists
from bench_deepspeed.core.arguments import percentage, positive_integer, price, whole_number
from bench_deepspeed.core.capabilities import DEFAULT
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.paths import LOGS, MODELS, QUESTIONS
from bench_deepspeed.core.precision import NAMES
from bench_deepspeed.engines import DEFAULT_ENGINES, ENGINES
from bench_deepspeed.model import catalog

from .scenario import MODEL, PROMPT_HELP

DEFAULT_PRECISION = f"{DEFAULT['cuda']} on cuda, {DEFAULT['cpu']} on cpu"


def add_common(group) -> None:
    """The flags of every command."""
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML with flags as keys; flags on the command line take precedence"
    )
    group.add_argument(
        "--no_setup",
        action="store_true",
        help="use the current Python (or $BENCH_PYTHON) and install nothing: for containers and clusters",
    )
    group.add_argument("--version", action="version", version=__version__)
    add_help(group)


def add_help(group) -> None:
    """`-h` and `--help`."""
    group.add_argument("-h", "--help", action="help", help="show this and stop")


def add_dry_run(group) -> None:
    """The plan alone."""
    group.add_argument("--dry_run", action="store_true", help="print what would be done, fetched and written, and stop")


def add_output(group) -> None:
    """The flags for the terminal output of a command that measures."""
    group.add_argument(
        "--json", action="store_true", help="print the saved result on stdout, everything else on stderr"
    )
    group.add_argument("--quiet", action="store_true", help="only errors on stderr, no progress and no remarks")


def add_choice(group) -> None:
    """The model, the engine and the precision."""
    add_model(group)
    add_engine(group)
    group.add_argument(
        "--precision",
        type=_one_precision,
        metavar="NAME",
        help=f"{', '.join(NAMES)} (default: {DEFAULT_PRECISION}); `bench.sh models` shows which engine runs in which",
    )


def _one_precision(text: str) -> str:
    """Raises ArgumentTypeError for a list, with the commands that take one, and for what is none."""
    if text not in NAMES:
        several = "one precision here; `bench.sh sweep --precisions` and `bench.sh quality --precision` take several"
        is_list = "," in text or text == number_lists.ALL
        raise argparse.ArgumentTypeError(several if is_list else f"{text!r} is none of {', '.join(NAMES)}")
    return text


def add_precisions(group, flag: str, default: str = DEFAULT_PRECISION) -> None:
    """A list of precisions, or all of them."""
    group.add_argument(
        flag,
        dest="precisions",
        type=number_lists.names_among(NAMES, NAMES),
        metavar="LIST",
        help=f"of {', '.join(NAMES)}, with commas between, or all (default: {default})",
    )


def add_engine(group) -> None:
    """The engine."""
    group.add_argument(
        "--engine",
        choices=ENGINES,
        metavar="NAME",
        help=f"{', '.join(ENGINES)} (default: {DEFAULT_ENGINES['cuda']} on cuda, {DEFAULT_ENGINES['cpu']} on cpu)",
    )


def _model_name(text: str) -> str:
    if "/" in text:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no name: `bench.sh models add` makes a model of it")
    return text


def add_model(group) -> None:
    """The device, the model, its weights and the seed."""
    group.add_argument(
        "-d",
        "--device",
        choices=("cuda", "cpu", "metal"),
        help="default: cuda where there is a usable GPU, else cpu; metal is refused",
    )
    group.add_argument(
        "-n",
        "--model_name",
        type=_model_name,
        choices=catalog.names(),
        help=f"the model (default: {MODEL['cuda']} on cuda, {MODEL['cpu']} on cpu); `bench.sh models add` makes more",
    )
    group.add_argument(
        "--weights",
        choices=("pretrained", "random"),
        default="pretrained",
        help="random: the model's shape with seeded random values, for speed only (default: pretrained)",
    )
    group.add_argument(
        "--seed",
        type=whole_number,
        default=0,
        metavar="N",
        help="the seed of random weights and of random prompts (default: 0)",
    )


def add_tensor_parallel(group) -> None:
    """The ranks that the model is split over."""
    group.add_argument(
        "--tensor_parallel",
        type=positive_integer,
        metavar="N",
        help="split the model over N ranks, each a process with a GPU of its own, on a CPU with its share of the "
        "cores (default: 1)",
    )


def add_prompt(group) -> None:
    """The prompt, on the command line or in a file: an argument holds 128 KiB at most."""
    group.add_argument("-p", "--prompt", help=PROMPT_HELP)
    group.add_argument("--prompt_file", type=Path, metavar="FILE", help="the prompt is the text of this file")


def add_place(group) -> None:
    """The folders of results and of weights."""
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


def add_quality(group) -> None:
    """The flags of the check of the answers."""
    group.add_argument(
        "--questions",
        type=Path,
        metavar="FILE",
        default=QUESTIONS,
        help="your own: JSON as in docs/method/quality.md, or text with one prompt a line (default: the suite's five)",
    )
    group.add_argument(
        "--reference_device",
        choices=("cuda", "cpu"),
        help="the device that computes the float32 reference, once (default: the run's device)",
    )
    group.add_argument(
        "--late_tokens",
        type=positive_integer,
        metavar="N",
        help="ask each question late in the context too, after so many tokens, such as 4096 (default: after the other "
        "questions and answers, once)",
    )
    group.add_argument(
        "--fail_on_quality", action="store_true", help="exit 5 when a verdict is outside the noise floor"
    )


def add_gate(parser, slower: str, than: str) -> None:
    """The gate of CI: exit codes of a regression, and of an inconclusive comparison."""
    parser.add_argument(
        "--fail_on_regression",
        type=percentage,
        metavar="P%",
        help=f"exit 7 when {slower} is slower than {than} by more than P%%: the whole interval shows it",
    )
    parser.add_argument(
        "--fail_on_inconclusive",
        action="store_true",
        help="with --fail_on_regression: exit 8 when the interval neither shows nor excludes that",
    )


def check_gate(options: argparse.Namespace) -> None:
    """Raises UsageError for --fail_on_inconclusive without a gate."""
    if options.fail_on_inconclusive and options.fail_on_regression is None:
        raise UsageError("--fail_on_inconclusive needs --fail_on_regression P%: give that as well")


def add_gpu_hour(parser) -> None:
    """Add the price that a million tokens follow from."""
    parser.add_argument(
        "--gpu_hour",
        type=price,
        metavar="PRICE",
        help="price of an hour of one GPU, in any currency: load tests show what a million output tokens cost",
    )
