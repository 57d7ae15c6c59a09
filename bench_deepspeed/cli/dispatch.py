"""Each command: what is refused before anything is installed, then the module that does it."""

from __future__ import annotations

import os
from importlib import import_module

from bench_deepspeed.benchmarks.common import scenario as cli
from bench_deepspeed.machine.python_env import ensure_environment

OF_A_SCENARIO = {name: f"bench_deepspeed.benchmarks.{name}.command" for name in ("run", "quality", "selftest", "load")}
"""Commands about one scenario → the module whose `run` does them."""


def run(argv: list[str], options) -> int:
    """Do what one command line asks for. Returns the exit code; raises BenchError."""
    return OTHERS.get(options.command, _of_a_scenario)(argv, options)


def _of_a_scenario(argv: list[str], options) -> int:
    if options.command == "load":
        from bench_deepspeed.benchmarks.load.flags import check

        check(options)
    scenario = cli.scenario_of(options)
    if options.command == "run" and options.dry_run:
        from bench_deepspeed.benchmarks.run.dry_run import show

        return show(scenario, options)
    _set_up(argv, options)
    return import_module(OF_A_SCENARIO[options.command]).run(scenario, options)


def _doctor(_argv: list[str], options) -> int:
    from .doctor import run

    return run(options)


def _report(argv: list[str], options) -> int:
    from bench_deepspeed.results.report_flags import check

    check(options)
    _set_up(argv, options)
    return import_module("bench_deepspeed.results." + ("export" if options.format else "documents")).run(options)


def _sweep(argv: list[str], options) -> int:
    if not options.dry_run or options.resume:  # the plan alone needs nothing installed, and a saved sweep does
        _set_up(argv, options)
    if options.dry_run:
        from bench_deepspeed.benchmarks.sweep.dry_run import show

        return show(options)
    from bench_deepspeed.benchmarks.sweep.command import run

    return run(options)


def _compare(argv: list[str], options) -> int:
    from bench_deepspeed.results.compare.flags import check

    check(options)
    _set_up(argv, options)
    from bench_deepspeed.results.compare.command import run

    return run(options)


def _results(argv: list[str], options) -> int:
    from bench_deepspeed.results import flags
    from bench_deepspeed.results.find import folders

    flags.check(options)
    if options.action != "show" and not folders(options.output_dir):  # to say this, nothing needs to be installed
        print("[]" if options.json else f"no runs in {options.output_dir}")
        return 0
    _set_up(argv, options)
    from bench_deepspeed.results.command import run

    return run(options)


def _ab(argv: list[str], options) -> int:
    from bench_deepspeed.benchmarks.ab.plan import plan_of

    asked = plan_of(options)
    if options.dry_run:
        from bench_deepspeed.benchmarks.ab.dry_run import show

        return show(asked, options)
    _set_up(argv, options)
    from bench_deepspeed.benchmarks.ab.command import run

    return run(asked, options)


OTHERS = {
    "doctor": _doctor,
    "report": _report,
    "sweep": _sweep,
    "compare": _compare,
    "results": _results,
    "ab": _ab,
}


def _set_up(argv: list[str], options) -> None:
    ensure_environment(argv, bool(os.environ.get("BENCH_PYTHON")) or getattr(options, "no_setup", False))
