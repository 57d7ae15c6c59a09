"""What is run: the settings of the flags, and a saved one that is resumed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from bench_deepspeed.core.errors import UsageError, named
from bench_deepspeed.core.paths import file_in

from .flags import REPETITIONS
from .records import FILE, RefereeResult, Settings
from .scenarios import SCENARIOS
from .tools import TOOLS


def settings_of(options) -> Settings:
    """The settings of the flags."""
    return Settings(
        tools=options.tools or list(TOOLS),
        scenarios=options.scenarios or list(SCENARIOS),
        repetitions=options.repetitions or REPETITIONS,
        seed=options.seed or 0,
    )


def resumed(options) -> tuple[Path, RefereeResult]:
    """The file of a saved referee's run, and its content. Raises UsageError for another file or other settings."""
    path = file_in(options.resume, FILE)
    if not os.path.isfile(path):  # noqa: PTH113 – Path.is_file raises for a name that is too long
        raise UsageError(f"--resume {options.resume}: there is no {FILE}")
    with named(path):
        result = RefereeResult.load(path)
    for name, value in dataclasses.asdict(result.settings).items():
        if getattr(options, name) not in (None, value):
            raise UsageError(f"--resume: it was started with other --{name}; leave the flag out, or start another one")
    return path.resolve(), result
