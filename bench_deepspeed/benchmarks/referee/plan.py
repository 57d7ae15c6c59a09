"""What is run: the settings of the flags, a saved one that is resumed, and the order. Imports no package."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.core.errors import UsageError, named

from .flags import REPETITIONS
from .install import lacks
from .records import RefereeResult, Settings
from .scenarios import SCENARIOS
from .tools import TOOLS, tool


@dataclass(frozen=True)
class Visit:
    """One run that is to be: a tool, a scenario, and which of its repetitions."""

    tool: str
    scenario: str
    repetition: int


def order_of(settings: Settings) -> list[Visit]:
    """All runs: each repetition of all before the next one, each in an order of its own, drawn from the seed.

    A tool that cannot run a scenario has none of it.
    """
    drawn, order = random.Random(settings.seed), []
    cells = [(t, s) for t in settings.tools for s in settings.scenarios if tool(t).refusal(SCENARIOS[s]) is None]
    for repetition in range(1, settings.repetitions + 1):
        order += [Visit(*cell, repetition) for cell in drawn.sample(cells, len(cells))]
    return order


def pending(result: RefereeResult) -> list[Visit]:
    """The runs that are not there yet; those that failed are run again."""
    done = {(run.tool, run.scenario, run.repetition) for run in result.runs if run.error is None}
    return [visit for visit in order_of(result.settings) if dataclasses.astuple(visit) not in done]


def left_out(options) -> dict[str, str]:
    """The tools that cannot be installed here, with the reason. One that is requested by its name is not left out."""
    named = options.resume or options.tools
    return {} if named else {name: why for name in TOOLS if (why := lacks(tool(name), options.tools_dir))}


def settings_of(options) -> Settings:
    """The settings of the flags."""
    missing = left_out(options)
    return Settings(
        tools=options.tools or [name for name in TOOLS if name not in missing],
        scenarios=options.scenarios or list(SCENARIOS),
        repetitions=options.repetitions or REPETITIONS,
        seed=options.seed or 0,
    )


def resumed(path: Path, options) -> RefereeResult:
    """A saved referee's run, to which --repetitions may add.

    Raises UsageError for another file or other settings.
    """
    with named(path):
        result = RefereeResult.load(path)
        _require_known(result.settings)
    for name in ("tools", "scenarios", "seed"):
        if getattr(options, name) not in (None, getattr(result.settings, name)):
            raise UsageError(f"--resume: it was started with other --{name}; leave the flag out, or start another one")
    repetitions = options.repetitions or result.settings.repetitions
    if repetitions < result.settings.repetitions:
        raise UsageError(
            f"--resume: it was started with --repetitions {result.settings.repetitions}: give as many or more"
        )
    result.settings = dataclasses.replace(result.settings, repetitions=repetitions)
    return result


def _require_known(settings: Settings) -> None:
    """Raise UsageError for tools and scenarios of another version of this suite."""
    unknown = {*settings.tools} - {*TOOLS} | {*settings.scenarios} - {*SCENARIOS}
    if unknown:
        raise UsageError(f"this version has no {min(unknown)!a:.80}: start another one")
    if settings.repetitions < 1:
        raise UsageError("it has no repetitions")
