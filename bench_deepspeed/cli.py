"""The flags, their one help text, and their checks. Imports nothing that takes time."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from . import __version__, catalog
from .engines import DEFAULTS, ENGINES, engine_class
from .environment import default_device, gpus
from .errors import EXIT_CODES, MachineError, UsageError
from .measure import CHEAP_LOAD_S
from .paths import LOGS, MODELS, QUESTIONS
from .schema import Scenario

PROMPT = "Write an essay about the transformer model architecture"
PROCESSES = 3  # the fewest that tell apart what differs between processes from what does not, at bearable cost
REPETITIONS = {"cuda": 10, "cpu": 5}  # in each process
TIME_BUDGET_S = 600
MAX_TOKENS = {"cuda": 512, "cpu": 128}  # on a CPU a first try ends within a couple of minutes
MODEL = {"cuda": "llama", "cpu": "smollm2"}
METAL = "metal is not supported: DeepSpeed-MII runs on CUDA and DeepSpeed's init_inference on cuda and cpu; use -d cpu"


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line, through the suite's own exit, and without abbreviations. -h is added last."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, add_help=False, **settings)

    def error(self, message: str):
        raise UsageError(f"{message}; see {self.prog.replace(' [run]', '')} --help")

    def exit(self, status: int = 0, message: str | None = None):
        sys.stdout.flush()  # the help's reader may have gone away: main() catches that
        super().exit(status, message)


class WordsParser(Parser):
    """A parser of words that may stand on both sides of a flag. Needs a `usage`: argparse trips over % in its own."""

    def parse_args(self, args=None, namespace=None):
        return self.parse_intermixed_args(args, namespace)


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse a command line. Raises UsageError; prints the help and exits 0 for -h."""
    commands = {"run": _run_parser, "quality": _quality_parser, "doctor": _doctor_parser, "report": _report_parser}
    commands["selftest"] = _selftest_parser
    commands["sweep"] = _sweep_parser
    commands["load"] = _load_parser
    commands["compare"] = _compare_parser
    commands["results"] = _results_parser
    commands["ab"] = _ab_parser
    if argv and not argv[0].startswith("-"):
        command, rest = argv[0], argv[1:]
    else:
        command, rest = "run", argv
    if command not in commands:
        raise UsageError(f"unknown command {command!r}: there are {', '.join(commands)}; see bench.sh --help")
    options = commands[command]().parse_args(rest)
    options.command = command
    return options


def _run_parser() -> Parser:
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    parser = Parser(
        prog="bench.sh [run]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Times token generation and writes mean ± std tokens per second to a log and a JSON file.\n"
            "Then checks the answers against float32 (pretrained weights).\n\n"
            "other commands (each has its own --help):\n"
            "  bench.sh quality  the check of the answers alone, in every precision of the engine\n"
            "  bench.sh doctor   what this machine has, what it lacks and how to mend it\n"
            "  bench.sh report   render the tables of the documents, or write results as CSV, JSON lines or HTML\n"
            "  bench.sh sweep    batch sizes, prompt lengths, engines: one table and figures\n"
            "  bench.sh load     many requests at a time: latency, throughput, the highest rate that can be borne\n"
            "  bench.sh compare  saved results: what differs, and whether one is faster\n"
            "  bench.sh results  list the runs in logs/, show one, delete old ones\n"
            "  bench.sh ab       is B faster than A? two configurations, timed in turn\n"
            "  bench.sh selftest whether the suite's own times are right, and how much it adds to them"
        ),
        epilog=f"exit codes:\n{codes}",
    )
    scenario = parser.add_argument_group("what is measured")
    _add_choice_flags(scenario)
    _add_timing_flags(scenario)
    quality = parser.add_argument_group("the check of the answers")
    quality.add_argument("--no_quality", action="store_true", help="leave it out")
    _add_quality_flags(quality)
    places = parser.add_argument_group("where things go")
    places.add_argument(
        "-lf",
        "--log_file",
        type=Path,
        metavar="FILE",
        help="the readable log, appended to (default: performance.log beside the JSON)",
    )
    _add_place_flags(places)
    other = parser.add_argument_group("other")
    other.add_argument("--dry_run", action="store_true", help="say what would be done, fetched and written, and stop")
    _add_common_flags(other)
    return parser


def _quality_parser() -> Parser:
    parser = Parser(
        prog="bench.sh quality",
        description="Asks the questions in every precision of the engine (or the one named), and compares the answers "
        "and the logits with Transformers in float32, beside Transformers in the same precision.",
    )
    _add_choice_flags(parser, default_precision="every one of the engine")
    _add_quality_flags(parser)
    _add_place_flags(parser)
    _add_common_flags(parser)
    parser.set_defaults(prompt=PROMPT, max_tokens=None, warmups=0)
    parser.set_defaults(processes=None, repetitions=None, target_ci=None, time_budget=None)
    return parser


def _selftest_parser() -> Parser:
    parser = Parser(
        prog="bench.sh selftest",
        description="Measures the suite itself: the known latencies of the fake engine; what the suite adds within an "
        "engine's generation; and generations by the suite and by a bare loop in turn. Exits 1 when they differ by "
        "more than 0.5%, or when the first two cannot be told.",
    )
    _add_choice_flags(parser)
    parser.add_argument(
        "-m", "--max_tokens", type=_positive, default=16, metavar="N", help="of each generation (default: %(default)s)"
    )
    parser.add_argument(
        "--budget",
        type=_positive,
        default=120,
        metavar="SECONDS",
        help="after which a part ends without a verdict (default: %(default)s)",
    )
    _add_place_flags(parser)
    _add_common_flags(parser)
    parser.set_defaults(prompt=PROMPT, warmups=0)
    parser.set_defaults(processes=1, repetitions=1, target_ci=None, time_budget=None)
    return parser


def _sweep_parser() -> Parser:
    from .sweep.flags import add_lists
    from .sweep.plan import REPETITIONS as PAIRS
    from .sweep.plan import WARMUPS

    parser = Parser(
        prog="bench.sh sweep",
        description="Measures every combination of the lists: prefill and decoding of batches. A list is values and "
        "ranges with commas between: 1,2,4, or 128-2048*2 for 128, 256, ..., 2048, or 1-4+1 for 1, 2, 3, 4.",
    )
    add_lists(parser.add_argument_group("what is combined"))
    fixed = parser.add_argument_group("what is the same in all")
    _add_model_flags(fixed)
    fixed.add_argument(
        "-r",
        "--repetitions",
        type=_positive,
        metavar="N",
        help=f"timed pairs of generations, of one token and of all (default: {PAIRS['cuda']}, on cpu {PAIRS['cpu']})",
    )
    fixed.add_argument(
        "--warmups",
        type=_positive,
        metavar="N",
        help=f"pairs before them, in each scenario (default: {WARMUPS}; the first of a process: 3 or more)",
    )
    other = parser.add_argument_group("other")
    other.add_argument(
        "--resume", type=Path, metavar="PATH", help="go on with this sweep, its folder or sweep.json, in its settings"
    )
    other.add_argument("--dry_run", action="store_true", help="list the scenarios and what each takes, and stop")
    _add_place_flags(other)
    _add_common_flags(other)
    parser.set_defaults(weights=None, seed=None)
    return parser


def _load_parser() -> Parser:
    from .load import flags

    parser = Parser(
        prog="bench.sh load",
        description="Sends requests from clients that wait for their answers, or at rates whatever comes back, and "
        "writes throughput, latency and what a service level leaves of them to load.json, load.svg and load.png.",
    )
    flags.add(parser)
    _add_choice_flags(parser)
    _add_place_flags(parser)
    _add_common_flags(parser)
    parser.set_defaults(prompt=PROMPT, warmups=0, processes=1, repetitions=1, target_ci=None, time_budget=None)
    return parser


def _compare_parser() -> Parser:
    from .compare import flags

    parser = WordsParser(
        prog="bench.sh compare",
        usage="%(prog)s FILE FILE [FILE ...] [flags]",
        description="Shows what differs between saved results of the same work, and each figure with its ratio to the "
        "first; whether tokens/s differ is told from a 95% interval over processes.",
    )
    flags.add(parser, _percentage)
    _add_common_flags(parser)
    return parser


def _results_parser() -> Parser:
    from .results import flags

    parser = WordsParser(
        prog="bench.sh results",
        usage="%(prog)s [[show] ID | prune] [flags]",
        description="Lists the runs, the newest last; shows one as it did itself when it ended; or deletes old ones.",
    )
    flags.add(parser, _count)
    parser.add_argument(
        "--output_dir", type=Path, default=LOGS, metavar="DIR", help="where the runs are (default: logs/ of this suite)"
    )
    _add_common_flags(parser)
    return parser


def _ab_parser() -> Parser:
    from .ab import flags

    parser = Parser(
        prog="bench.sh ab",
        description="Is B faster than A? Loads both at once, times them in turn, in several pairs of processes, and "
        "answers with the ratio of their tokens/s and its 95% interval.",
    )
    flags.add(parser, positive=_positive, count=_count, percentage=_percentage)
    parser.add_argument("-p", "--prompt", default=PROMPT, help="the prompt (default: %(default)s)")
    _add_model_flags(parser)
    _add_place_flags(parser)
    _add_common_flags(parser)
    return parser


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


def _add_quality_flags(group) -> None:
    group.add_argument(
        "--questions",
        type=Path,
        metavar="FILE",
        default=QUESTIONS,
        help="your own: JSON as in docs/methodology.md, or text with one prompt a line (default: the suite's five)",
    )
    group.add_argument(
        "--reference_device",
        choices=("cuda", "cpu"),
        help="where float32 is computed, once (default: the run's device)",
    )
    group.add_argument(
        "--fail_on_quality", action="store_true", help="exit 5 when a verdict is outside the noise floor"
    )


def _add_timing_flags(group) -> None:
    group.add_argument("-p", "--prompt", default=PROMPT, help="the prompt (default: %(default)s)")
    group.add_argument(
        "-r",
        "--repetitions",
        type=_positive,
        metavar="N",
        help=f"timed generations in each process (default: {REPETITIONS['cuda']}, on cpu {REPETITIONS['cpu']})",
    )
    group.add_argument(
        "-m",
        "--max_tokens",
        type=_positive,
        metavar="N",
        help=f"tokens of each generation, exactly (default: {MAX_TOKENS['cuda']}, on cpu {MAX_TOKENS['cpu']})",
    )
    group.add_argument(
        "--warmups",
        type=_count,
        metavar="N",
        help="generations before the timed ones in each process (default: until the times are steady)",
    )
    group.add_argument(
        "--processes",
        type=_positive,
        metavar="N",
        help=f"fresh processes, each of which loads, warms up and measures (default: {PROCESSES}; "
        f"1 where loading takes more than {CHEAP_LOAD_S} s)",
    )
    group.add_argument(
        "--target_ci",
        type=_percentage,
        metavar="P%",
        help="more processes until the 95%% interval of tokens/s is the mean ± P%% at most, such as 1%%",
    )
    group.add_argument(
        "--time_budget",
        type=_positive,
        metavar="SECONDS",
        help=f"start none of these later than this after the first (default: {TIME_BUDGET_S})",
    )


def _add_choice_flags(group, default_precision: str = "float16 on cuda, float32 on cpu") -> None:
    _add_model_flags(group)
    group.add_argument(
        "--engine", choices=ENGINES, help=f"default: {DEFAULTS['cuda']} on cuda, {DEFAULTS['cpu']} on cpu"
    )
    group.add_argument(
        "--precision",
        choices=("float16", "bfloat16", "float32"),
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


def _doctor_parser() -> Parser:
    parser = Parser(
        prog="bench.sh doctor",
        description="Reports, line by line, what is there and what is missing, and how to mend it.",
    )
    parser.add_argument("--models_dir", type=Path, default=MODELS, metavar="DIR", help="where weights would go")
    _add_help(parser)
    return parser


def _report_parser() -> Parser:
    from .reports import flags

    parser = Parser(
        prog="bench.sh report",
        description="Renders the tables between the markers in README.md and docs/ from docs/results/*.json. With "
        "--format, writes results as Markdown, CSV, JSON lines or one HTML page instead.",
    )
    flags.add(parser)
    _add_common_flags(parser)
    return parser


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


def _positive(text: str) -> int:
    value = _count(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is too few: at least 1")
    return value


def _percentage(text: str) -> float:
    number = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if not number or not 0 < float(number[1]) < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage between 0% and 100%, such as 1% or 0.5%")
    return float(number[1]) / 100


def scenario_of(options: argparse.Namespace) -> Scenario:
    """Fill in the defaults that depend on the machine, and refuse what cannot be.

    Raises UsageError for combinations that no machine can do, MachineError where this one lacks a GPU.
    """
    if options.device == "metal":
        raise UsageError(METAL)
    if not options.prompt.strip():
        raise UsageError("the prompt is empty: give one with -p")
    if any("\ud800" <= character <= "\udfff" for character in options.prompt):
        raise UsageError("the prompt is not UTF-8 text: convert it, for one with iconv")
    if options.time_budget and options.target_ci is None:
        raise UsageError("--time_budget limits the search for --target_ci: give that as well")
    device = options.device or default_device()
    engine = options.engine or DEFAULTS[device]
    precision = _precision(engine, device, options.precision)
    wanted = {"-d": device, "--reference_device": getattr(options, "reference_device", None)}
    for flag, where in wanted.items():
        if where == "cuda" and not gpus() and not getattr(options, "dry_run", False):  # a plan needs no GPU
            raise MachineError(f"{flag} cuda, but nvidia-smi shows no GPU: use {flag} cpu, or see `bench.sh doctor`")
    return Scenario(
        model=options.model_name or MODEL[device],
        engine=engine,
        device=device,
        precision=precision,
        weights=options.weights,
        prompt=options.prompt,
        max_tokens=options.max_tokens or MAX_TOKENS[device],
        processes=options.processes or PROCESSES,
        repetitions=options.repetitions or REPETITIONS[device],
        warmups=options.warmups,
        seed=options.seed,
        target_ci=options.target_ci,
        time_budget_s=None if options.target_ci is None else options.time_budget or TIME_BUDGET_S,
    )


def _precision(engine: str, device: str, wanted: str | None) -> str:
    can = engine_class(engine).precisions
    if device not in can:
        reason = engine_class(engine).refusals.get(device, f"it runs on {', '.join(can)}")
        raise UsageError(f"--engine {engine} does not run on {device}: {reason}")
    if wanted and wanted not in can[device]:
        raise UsageError(f"--engine {engine} does not run in {wanted} on {device}: it takes {', '.join(can[device])}")
    return wanted or can[device][0]
