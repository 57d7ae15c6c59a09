"""Each command: what is refused before anything is installed, then the module that does it."""

from __future__ import annotations

import os
from importlib import import_module

from . import cli
from .bootstrap import ensure_environment

OF_A_SCENARIO = {"run": ".runner", "quality": ".quality.check", "selftest": ".selftest", "load": ".load.command"}
"""Commands about one scenario → the module whose `run` does them."""


def run(argv: list[str], options) -> int:
    """Do what one command line asks for. Returns the exit code; raises BenchError."""
    return OTHERS.get(options.command, _of_a_scenario)(argv, options)


def _of_a_scenario(argv: list[str], options) -> int:
    if options.command == "load":
        from .load.flags import check

        check(options)
    scenario = cli.scenario_of(options)
    if options.command == "run" and options.dry_run:
        from .dry_run import show

        return show(scenario, options)
    _set_up(argv, options)
    return import_module(OF_A_SCENARIO[options.command], __package__).run(scenario, options)


def _doctor(_argv: list[str], options) -> int:
    from .doctor import run

    return run(options)


def _report(argv: list[str], options) -> int:
    from .reports.flags import check

    check(options)
    _set_up(argv, options)
    return import_module(".reports.export" if options.format else ".reports.markdown", __package__).run(options)


def _sweep(argv: list[str], options) -> int:
    if not options.dry_run or options.resume:  # the plan alone needs nothing installed, and a saved sweep does
        _set_up(argv, options)
    if options.dry_run:
        from .sweep.dry_run import show

        return show(options)
    from .sweep.run import run

    return run(options)


def _compare(argv: list[str], options) -> int:
    from .compare.flags import check

    check(options)
    _set_up(argv, options)
    from .compare.command import run

    return run(options)


def _results(argv: list[str], options) -> int:
    from .results import flags
    from .results.find import folders

    flags.check(options)
    if options.action != "show" and not folders(options.output_dir):  # to say this, nothing needs to be installed
        print("[]" if options.json else f"no runs in {options.output_dir}")
        return 0
    _set_up(argv, options)
    from .results.command import run

    return run(options)


def _ab(argv: list[str], options) -> int:
    from .ab.plan import plan_of

    asked = plan_of(options)
    if options.dry_run:
        from .ab.dry_run import show

        return show(asked, options)
    _set_up(argv, options)
    from .ab.run import run

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
