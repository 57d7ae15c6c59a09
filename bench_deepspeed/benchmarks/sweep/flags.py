"""The flags that take lists."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.benchmarks.common.flags import (
    add_common,
    add_model,
    add_output,
    add_place,
    add_precisions,
    add_quality,
)
from bench_deepspeed.core import number_lists
from bench_deepspeed.core.arguments import Parser, positive_integer
from bench_deepspeed.engines import DEFAULT_ENGINES, ENGINES

from .plan import LISTS, PROCESSES, REPETITIONS, WARMUPS

SHORT = {"max_tokens": ["-m"]}
MEANINGS = {
    "batch_sizes": "sequences at once",
    "prompt_tokens": "random tokens of each prompt",
    "max_tokens": "new tokens of each sequence, exactly",
}


def add_lists(group) -> None:
    """The five lists whose product is measured."""
    for name, defaults in LISTS.items():
        shown = {device: ",".join(map(str, values)) for device, values in defaults.items()}
        note = f"{MEANINGS[name]} (default: {shown['cuda']}, on cpu {shown['cpu']})"
        group.add_argument(*SHORT.get(name, []), f"--{name}", type=number_lists.numbers, metavar="LIST", help=note)
    group.add_argument(
        "--tensor_parallel",
        type=number_lists.numbers,
        metavar="LIST",
        help="ranks that the model is split over, each a process with a GPU of its own, on a CPU with its share of the "
        "cores (default: 1)",
    )
    add_precisions(group, "--precisions")
    real = tuple(name for name in ENGINES if name != "fake")
    engines = number_lists.names_among(tuple(ENGINES), real)
    default = f"default: {DEFAULT_ENGINES['cuda']}, on cpu {DEFAULT_ENGINES['cpu']}"
    note = f"of {', '.join(ENGINES)}; all: all but fake ({default})"
    group.add_argument("--engines", type=engines, metavar="LIST", help=note)


def sweep_parser() -> Parser:
    """The command line of `bench.sh sweep`."""
    parser = Parser(
        prog="bench.sh sweep",
        description="Measures every combination of the lists: prefill and decoding of batches. A list is values and "
        "ranges with commas between: 1,2,4, or 128-2048*2 for 128, 256, ..., 2048, or 1-4+1 for 1, 2, 3, 4.",
    )
    add_lists(parser.add_argument_group("what is combined"))
    fixed = parser.add_argument_group("what is the same in all")
    add_model(fixed)
    fixed.add_argument(
        "-r",
        "--repetitions",
        type=positive_integer,
        metavar="N",
        help="timed pairs of generations, of one token and of all, in each process "
        f"(default: {REPETITIONS['cuda']}, on cpu {REPETITIONS['cpu']})",
    )
    fixed.add_argument(
        "--processes",
        type=positive_integer,
        metavar="N",
        help="fresh processes of each engine in each precision, in a random order; the intervals are over them "
        f"(default: {PROCESSES})",
    )
    fixed.add_argument(
        "--warmups",
        type=positive_integer,
        metavar="N",
        help=f"pairs before them, in each scenario (default: {WARMUPS}; the first of a process: 3 or more)",
    )
    answers = parser.add_argument_group("the check of the answers")
    answers.add_argument(
        "--quality", action="store_true", default=None, help="check the answers of each engine in each precision too"
    )
    add_quality(answers)
    other = parser.add_argument_group("other")
    other.add_argument(
        "--resume", type=Path, metavar="PATH", help="continue this sweep (its folder or sweep.json) with its settings"
    )
    other.add_argument("--dry_run", action="store_true", help="list the scenarios and what each takes, and stop")
    add_place(other)
    add_output(other)
    add_common(other)
    parser.set_defaults(weights=None, seed=None)
    return parser
