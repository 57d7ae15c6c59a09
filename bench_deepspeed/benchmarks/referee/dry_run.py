"""`bench.sh referee --dry_run`: what would be installed and run. Touches nothing."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.plan_lines import say
from bench_deepspeed.core.json_files import file_to_resume

from .install import installed, lacks
from .plan import left_out, pending, resumed, settings_of
from .records import FILE, RefereeResult
from .scenarios import SCENARIOS
from .tools import tool

SECONDS = 10
"""What a run takes, about: start, load and end of a tool."""


def show(options) -> int:
    """Print the plan; of `serve`, what its scenario is."""
    if options.serve:
        say_scenario(*options.scenarios)
        return 0
    if options.resume:
        result = resumed(file_to_resume(options.resume, FILE), options)
    else:
        result = RefereeResult(settings_of(options), [])
    for name in result.settings.tools:
        described = tool(name)
        there = "installed" if installed(described, options.tools_dir) else "to install"
        state = f"{described.requirement}, {there}" if described.requirement else "this suite"
        reason = lacks(described, options.tools_dir)
        say("tool", f"{name}: {f'would be refused: {reason}' if reason else state}")
    for name, reason in left_out(options).items():
        say("left out", f"{name}: {reason}")
    for name in result.settings.scenarios:
        say_scenario(name)
    runs = len(pending(result))
    say("runs", f"{runs}, about {max(1, round(runs * SECONDS / 60))} min")
    say("results", f"{options.output_dir}/referee/<time>/: referee.json")
    return 0


def say_scenario(name: str) -> None:
    """Print what a scenario is."""
    scenario = SCENARIOS[name]
    say("scenario", f"{name}: {scenario.title}; {scenario.requests} × {scenario.tokens} tokens, {scenario.load}")
