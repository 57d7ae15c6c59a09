"""A profile to read: each phase's bottleneck, the parts of its step, and its largest kernels and host functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench_deepspeed.core import units
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.json_files import write_atomically
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure.records import Profile, Share
from bench_deepspeed.report import svg, terminal
from bench_deepspeed.report.blocks import Block, Section, Table, Text

from . import charts, step

ROWS = 10
NAME_WIDTH = 90
FILE_WIDTH = 140  # of profile.txt, on whatever terminal it is made: the tables' columns next to such names


def blocks(profiles: Sequence[Profile]) -> list[Block]:
    """A section a phase."""
    return [Section(_headline(profile), _tables(profile)) for profile in profiles]


def _tables(profile: Profile) -> list[Block]:
    kernels = "kernel" if profile.device == "cuda" else "operator"
    parts = [
        {"part of the step": title, "ms": _ms(seconds), "share": _share(seconds, profile)}
        for title, seconds in step.parts(profile).items()
    ]
    largest = {
        f"largest {kernels}s": profile.kernels,
        "largest host functions (own time, with cProfile's)": profile.host_functions,
    }
    tables = [Table(_rows(title, shares), title) for title, shares in largest.items() if shares]
    return [Text(step.bottleneck(profile)), Table(parts, "Parts of the step"), *tables]


def _headline(profile: Profile) -> str:
    step_time = units.milliseconds(profile.step_s)
    if profile.phase == "decode":
        return f"decode: {step_time} a step (mean of {profile.steps} after {profile.prompt_tokens} prompt tokens)"
    return f"{profile.phase}: {step_time} for {profile.prompt_tokens} prompt tokens and one new one"


def _rows(title: str, shares: Sequence[Share]) -> list[dict[str, str]]:
    return [
        {
            title: share.name if len(share.name) <= NAME_WIDTH else f"{share.name[: NAME_WIDTH - 1]}…",
            "ms a step": _ms(share.seconds),
            "calls a step": f"{share.calls:.4g}",
        }
        for share in shares[:ROWS]
    ]


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}"


def _share(seconds: float, profile: Profile) -> str:
    return units.percent(seconds / profile.step_s) if profile.step_s > 0 else NOT_MEASURED


def write(folder: Path, profiles: Sequence[Profile], title: str) -> None:
    """Write profile.txt, profile.svg and profile.png. Raises MachineError when the first cannot be written."""
    try:
        text = terminal.render([Text(title), *blocks(profiles)], FILE_WIDTH)
        write_atomically(folder / "profile.txt", text + "\n")
    except OSError as error:
        raise MachineError(f"cannot write the profile to {folder}: {error.strerror}") from error
    svg.write(folder, {"profile": charts.profile_bars(title, profiles)})
