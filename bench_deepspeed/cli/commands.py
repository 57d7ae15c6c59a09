"""The commands, a line each: what parses one, what is checked before anything is installed, and what runs it.

Functions are named as "module:function", below this package, and imported when they are called.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name

from bench_deepspeed.core.paths import PACKAGE
from bench_deepspeed.results.find import folders

SCENARIO = "benchmarks.common.scenario:scenario_of"


def _needs_packages(options: argparse.Namespace) -> bool:
    return not getattr(options, "dry_run", False)


@dataclass(frozen=True)
class Command:
    """One command. Of its functions, `parser` takes nothing, `run` and `dry_run` take (subject, options).

    `check` takes the options and raises UsageError for flags that do not go together.
    `subject` makes of the options what is measured; raises BenchError. Without it, `run` takes the options alone.
    `needs_packages` is whether a command line is run by a Python with the pinned packages, set up where it is missing.
    """

    parser: str
    run: str
    check: str | None = None
    subject: str | None = None
    dry_run: str | None = None
    needs_packages: Callable[[argparse.Namespace], bool] = _needs_packages

    def parse(self, arguments: list[str]) -> argparse.Namespace:
        """Raises UsageError; prints the help and exits 0 for -h."""
        return _call(self.parser).parse_args(arguments)

    def prepare(self, options: argparse.Namespace) -> Callable[[], int]:
        """Check the options. Returns what does the work and returns the exit code. Raises BenchError."""
        if self.check:
            _call(self.check, options)
        subject = [_call(self.subject, options)] if self.subject else []
        function = self.dry_run if self.dry_run and options.dry_run else self.run
        return lambda: _call(function, *subject, options)


def _call(function: str, *arguments):
    return resolve_name(f"{PACKAGE}.{function}")(*arguments)


COMMANDS = {
    "run": Command(
        "benchmarks.run.flags:run_parser",
        "benchmarks.run.command:run",
        subject=SCENARIO,
        dry_run="benchmarks.run.dry_run:show",
    ),
    "quality": Command("benchmarks.quality.flags:quality_parser", "benchmarks.quality.command:run", subject=SCENARIO),
    "doctor": Command(
        "cli.doctor.command:doctor_parser", "cli.doctor.command:run", needs_packages=lambda options: False
    ),
    "report": Command(
        "results.report_flags:report_parser", "results.report_command:run", check="results.report_flags:check"
    ),
    "selftest": Command(
        "benchmarks.selftest.flags:selftest_parser", "benchmarks.selftest.command:run", subject=SCENARIO
    ),
    "sweep": Command(
        "benchmarks.sweep.flags:sweep_parser",
        "benchmarks.sweep.command:run",
        dry_run="benchmarks.sweep.dry_run:show",
        needs_packages=lambda options: not options.dry_run or bool(options.resume),  # a saved sweep is read with them
    ),
    "load": Command(
        "benchmarks.load.flags:load_parser",
        "benchmarks.load.command:run",
        check="benchmarks.load.flags:check",
        subject=SCENARIO,
    ),
    "compare": Command(
        "results.compare.flags:compare_parser", "results.compare.command:run", check="results.compare.flags:check"
    ),
    "results": Command(
        "results.flags:results_parser",
        "results.command:run",
        check="results.flags:check",
        needs_packages=lambda options: options.action == "show" or bool(folders(options.output_dir)),
    ),
    "ab": Command(
        "benchmarks.ab.flags:ab_parser",
        "benchmarks.ab.command:run",
        subject="benchmarks.ab.plan:plan_of",
        dry_run="benchmarks.ab.dry_run:show",
    ),
}
