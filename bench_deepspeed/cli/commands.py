"""The commands, a line each: what parses one, what is checked before anything is installed, and what runs it.

Functions are named as "module:function", below this package, and imported when they are called.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name

from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.paths import PACKAGE
from bench_deepspeed.results.find import folders

SCENARIO = "benchmarks.common.scenario:scenario_of"


def _needs_packages(options: argparse.Namespace) -> bool:
    return not getattr(options, "dry_run", False)


def _models_needs_packages(options: argparse.Namespace) -> bool:
    return _call("cli.models_command:needs_packages", options)


@dataclass(frozen=True)
class Command:
    """One command, and what it is for. Of its functions, `parser` takes nothing, `run` and `dry_run` take (subject,
    options).

    `check` takes the options and raises UsageError for flags that do not go together.
    `subject` makes of the options what is measured; raises BenchError. Without it, `run` takes the options alone.
    `measures` is whether it makes a result, which --json prints.
    `light` is whether it only reads results: it needs no torch and no DeepSpeed.
    `needs_packages` is whether a command line is run by a Python with the pinned packages, set up where it is missing.
    """

    help: str
    parser: str
    run: str
    check: str | None = None
    subject: str | None = None
    dry_run: str | None = None
    measures: bool = False
    light: bool = False
    needs_packages: Callable[[argparse.Namespace], bool] = _needs_packages

    def make_parser(self) -> Parser:
        """The parser of its flags."""
        return _call(self.parser)

    def prepare(self, options: argparse.Namespace) -> Callable[[], int]:
        """Check the options. Returns what does the work and returns the exit code. Raises BenchError."""
        _require_text(options)
        if self.check:
            _call(self.check, options)
        subject = [_call(self.subject, options)] if self.subject else []
        function = self.dry_run if self.dry_run and options.dry_run else self.run
        return lambda: _call(function, *subject, options)


def _require_text(options: argparse.Namespace) -> None:
    """Refuse folders whose names are not UTF-8: they cross the worker's socket as text."""
    for name in ("output_dir", "models_dir"):
        path = getattr(options, name, None)
        try:
            str(path and path.absolute()).encode()
        except UnicodeEncodeError:
            raise UsageError(f"--{name} {path}: the path is not UTF-8 text: name another folder") from None


def _call(function: str, *arguments):
    return resolve_name(f"{PACKAGE}.{function}")(*arguments)


def run_parser() -> Parser:
    """The parser of `bench.sh run`, whose help lists the other commands."""
    parser = resolve_name(f"{PACKAGE}.benchmarks.run.flags:run_parser")()
    width = max(map(len, COMMANDS))
    others = [f"  bench.sh {name:<{width}} {command.help}" for name, command in COMMANDS.items() if name != "run"]
    parser.description = "\n".join([parser.description, "", "other commands (each has its own --help):", *others])
    return parser


COMMANDS = {
    "run": Command(
        "time token generation, and check the answers",
        "cli.commands:run_parser",
        "benchmarks.run.command:run",
        subject=SCENARIO,
        dry_run="benchmarks.run.dry_run:show",
        measures=True,
    ),
    "quality": Command(
        "check the answers only, in every precision of the engine",
        "benchmarks.quality.flags:quality_parser",
        "benchmarks.quality.command:run",
        subject=SCENARIO,
        dry_run="benchmarks.quality.dry_run:show",
        measures=True,
    ),
    "models": Command(
        "the models, their licence and size, and which fit this machine",
        "cli.models_command:models_parser",
        "cli.models_command:run",
        needs_packages=_models_needs_packages,
    ),
    "prepare": Command(
        "fetch, verify and convert weights, and stop: for a machine with a network and no GPU",
        "cli.prepare_command:prepare_parser",
        "cli.prepare_command:run",
        subject=SCENARIO,
        dry_run="cli.prepare_command:show",
    ),
    "doctor": Command(
        "what this machine has, what it lacks and how to fix it",
        "cli.doctor.command:doctor_parser",
        "cli.doctor.command:run",
        needs_packages=lambda options: False,
    ),
    "report": Command(
        "render the tables of the documents, or write results as CSV, JSON lines or HTML",
        "results.report_flags:report_parser",
        "results.report_command:run",
        check="results.report_flags:check",
        light=True,
    ),
    "selftest": Command(
        "whether the suite's times are right, and how much time it adds",
        "benchmarks.selftest.flags:selftest_parser",
        "benchmarks.selftest.command:run",
        subject=SCENARIO,
        dry_run="benchmarks.selftest.dry_run:show",
        measures=True,
    ),
    "sweep": Command(
        "batch sizes, prompt lengths, engines: one table and figures",
        "benchmarks.sweep.flags:sweep_parser",
        "benchmarks.sweep.command:run",
        dry_run="benchmarks.sweep.dry_run:show",
        needs_packages=lambda options: not options.dry_run or bool(options.resume),  # a saved sweep is read with them
        measures=True,
    ),
    "load": Command(
        "many requests at a time: latency, throughput, the maximum sustainable rate",
        "benchmarks.load.flags:load_parser",
        "benchmarks.load.command:run",
        check="benchmarks.load.flags:check",
        subject="benchmarks.load.subject:scenario_of",
        dry_run="benchmarks.load.dry_run:show",
        measures=True,
    ),
    "referee": Command(
        "which benchmark tool is right? each against a server of known times",
        "benchmarks.referee.flags:referee_parser",
        "benchmarks.referee.command:run",
        check="benchmarks.referee.flags:check",
        dry_run="benchmarks.referee.dry_run:show",
        measures=True,
    ),
    "compare": Command(
        "saved results: what differs, and whether one is faster",
        "results.compare.flags:compare_parser",
        "results.compare.command:run",
        check="results.compare.flags:check",
        light=True,
    ),
    "results": Command(
        "list the runs in logs/, show one, delete old ones",
        "results.flags:results_parser",
        "results.command:run",
        check="results.flags:check",
        needs_packages=lambda options: options.action == "show" or bool(folders(options.output_dir)),
        light=True,
    ),
    "completion": Command(
        "print the completion of bash or zsh",
        "cli.completion_command:completion_parser",
        "cli.completion_command:run",
        light=True,
    ),
    "ab": Command(
        "is B faster than A? two configurations, interleaved",
        "benchmarks.ab.flags:ab_parser",
        "benchmarks.ab.command:run",
        subject="benchmarks.ab.plan:plan_of",
        dry_run="benchmarks.ab.dry_run:show",
        measures=True,
    ),
}
