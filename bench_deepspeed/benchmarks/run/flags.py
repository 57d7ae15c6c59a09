"""The flags of `bench.sh run`."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.benchmarks.common.flags import (
    add_choice,
    add_common,
    add_dry_run,
    add_output,
    add_place,
    add_prompt,
    add_quality,
    add_tensor_parallel,
)
from bench_deepspeed.benchmarks.common.scenario import (
    MAX_TOKENS,
    PROCESSES,
    QUICK,
    REPETITIONS,
    TIME_BUDGET_S,
)
from bench_deepspeed.core.arguments import Parser, percentage, positive_integer, whole_number
from bench_deepspeed.core.errors import EXIT_CODES
from bench_deepspeed.measure.stopping import CHEAP_LOAD_S, FEWEST


def run_parser() -> Parser:
    """The command line of `bench.sh run`."""
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    parser = Parser(
        prog="bench.sh [run]",
        description=(
            "Times token generation and writes mean ± std tokens per second to a log and a JSON file.\n"
            "Then checks the answers against float32 (pretrained weights)."
        ),
        epilog=f"exit codes:\n{codes}",
    )
    scenario = parser.add_argument_group("what is measured")
    add_choice(scenario)
    add_tensor_parallel(scenario)
    _add_timing_flags(scenario)
    quality = parser.add_argument_group("the check of the answers")
    quality.add_argument("--no_quality", action="store_true", help="do not check the answers")
    add_quality(quality)
    places = parser.add_argument_group("where things go")
    places.add_argument(
        "-lf",
        "--log_file",
        type=Path,
        metavar="FILE",
        help="the log, appended to (default: performance.log next to the JSON)",
    )
    add_place(places)
    other = parser.add_argument_group("other")
    add_dry_run(other)
    add_output(other)
    add_common(other)
    return parser


def _add_timing_flags(group) -> None:
    group.add_argument(
        "--quick",
        action="store_true",
        help=f"a first number in seconds: {QUICK['processes']} process, {QUICK['warmups']} warm-up and "
        f"{QUICK['repetitions']} repetitions of {QUICK['max_tokens']} tokens, unless flags say otherwise; nothing else "
        "is measured, and the quality of the answers is not checked",
    )
    add_prompt(group)
    group.add_argument(
        "-r",
        "--repetitions",
        type=positive_integer,
        metavar="N",
        help=f"timed generations in each process (default: {REPETITIONS['cuda']}, on cpu {REPETITIONS['cpu']})",
    )
    group.add_argument(
        "-m",
        "--max_tokens",
        type=positive_integer,
        metavar="N",
        help=f"tokens of each generation, exactly (default: {MAX_TOKENS['cuda']}, on cpu {MAX_TOKENS['cpu']})",
    )
    group.add_argument(
        "--warmups",
        type=whole_number,
        metavar="N",
        help="generations before the timed ones in each process (default: until the times are steady)",
    )
    group.add_argument(
        "--processes",
        type=positive_integer,
        metavar="N",
        help="fresh processes; each loads the model, warms up and measures (default: "
        f"{PROCESSES['cuda']}, on cpu {PROCESSES['cpu']}; {FEWEST} or more within the time budget; "
        f"1 where loading takes more than {CHEAP_LOAD_S} s)",
    )
    group.add_argument(
        "--target_ci",
        type=percentage,
        metavar="P%",
        help="more processes until the 95%% interval of tokens/s is the mean ± P%% at most, such as 1%%",
    )
    group.add_argument(
        "--time_budget",
        type=positive_integer,
        metavar="SECONDS",
        help=f"start no further process later than this after the first, unless --processes requests it "
        f"(default: {TIME_BUDGET_S})",
    )
