"""A machine with a fault: a disk that is full or read-only, streams that fail, limits, a clock that jumps."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from support import BENCH, Bench

from .judge import faults
from .kills import COMMANDS, file_faults, left_over
from .tally import Tally

CLOCK = Path(__file__).parent / "clock"
"""A folder for Python's path, which has the clock jump."""
ULIMITS = {
    "open files": ("-n", (6, 8, 10, 12, 16, 24)),
    "size of a file": ("-f", (0, 1, 2, 4, 8, 16)),
    "memory": ("-v", (60_000, 120_000, 250_000, 500_000, 1_000_000)),
    "CPU time": ("-t", (1, 2)),
    "stack": ("-s", (128, 512)),
}
REDIRECTIONS = (">/dev/full", "2>/dev/full", ">&-", "2>&-", "<&- >&- 2>&-", "| true", ">/dev/full 2>&1")
FULL = ("full disk", "size of a file")
"""Where the file cannot be replaced any more: it stays as it was last, and the log may hold a line more."""
MEASURING = ("run", "sweep", "load", "ab")
Fault = Callable[[Bench, random.Random], contextlib.AbstractContextManager[tuple[str, dict[str, str]]]]
"""Enters a fault. Gives the words of a shell around the command, `{}`, and the variables of its environment."""


def _ulimit(name: str) -> Fault:
    flag, values = ULIMITS[name]

    @contextlib.contextmanager
    def limited(_bench: Bench, draw: random.Random) -> Iterator[tuple[str, dict[str, str]]]:
        yield f"ulimit {flag} {draw.choice(values)}; exec {{}}", {}

    return limited


@contextlib.contextmanager
def _redirected(_bench: Bench, draw: random.Random) -> Iterator[tuple[str, dict[str, str]]]:
    yield f"{{}} {draw.choice(REDIRECTIONS)}", {}


@contextlib.contextmanager
def _full_disk(bench: Bench, draw: random.Random) -> Iterator[tuple[str, dict[str, str]]]:
    with _mounted(bench.cwd / "out", f"size={draw.choice((4, 8, 16, 32, 64))}k"):
        yield "exec {}", {}


@contextlib.contextmanager
def _read_only(bench: Bench, _draw: random.Random) -> Iterator[tuple[str, dict[str, str]]]:
    with _mounted(bench.cwd / "out", "ro"):
        yield "exec {}", {}


@contextlib.contextmanager
def _mounted(place: Path, options: str) -> Iterator[None]:
    """A small disk in a folder."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def _clock(_bench: Bench, draw: random.Random) -> Iterator[tuple[str, dict[str, str]]]:
    yield "exec {}", {"PYTHONPATH": str(CLOCK), "BENCH_SOAK_CLOCK": str(draw.randrange(10**6))}


FAULTS: dict[str, Fault] = {
    **{name: _ulimit(name) for name in ULIMITS},
    "streams closed or full": _redirected,
    "clock that jumps": _clock,
}
MOUNTS: dict[str, Fault] = {"full disk": _full_disk, "read-only disk": _read_only}
"""Which take the right to mount."""


def limits(folder: Path, count: int, seed: int) -> Tally:
    """Run so many commands, each under one fault."""
    draw, tally = random.Random(seed), Tally()
    known = {**FAULTS, **(MOUNTS if os.geteuid() == 0 else {})}
    for number in range(count):
        name, what = list(known)[number % len(known)], draw.choice(MEASURING)
        place = folder / str(number)
        place.mkdir()
        bench = Bench(place)
        with known[name](bench, draw) as (shell, env):
            script = shell.format('"$0" "$@"')
            process = bench.start("-c", script, BENCH, *COMMANDS[what], program="bash", env={**BEHAVIOUR, **env})
            output, errors = process.communicate()
            code = process.returncode
            wrong = [fault for fault in faults(code, output, errors) if not _expected(name, code, script, fault)]
            running = name in FULL or _ends_at_once(name, code)
            wrong += [*left_over(bench, None), *file_faults(place, may_be_running=running, lost=name not in FULL)]
        tally.count("fault", name)
        tally.add([name, script, what], code, wrong)
        shutil.rmtree(place)
    return tally


BEHAVIOUR = {"BENCH_FAKE": json.dumps({"seconds": [0.005]})}


def _ends_at_once(name: str, code: int) -> bool:
    """Whether the system may have ended the process itself: at the hard limit of CPU time, or where memory ends."""
    return (name == "CPU time" and code in (-9, 137)) or (name in ("memory", "stack") and code < 0)


def _expected(name: str, code: int, script: str, fault: str) -> bool:
    """Whether a fault is what this limit makes of any program: its stderr is gone, or the system ended it."""
    silent = "2>" in script and fault.startswith("no error line")
    shell = name == "open files" and code == 3 and fault.startswith("no error line")  # bash itself could not go on
    return silent or shell or (_ends_at_once(name, code) and fault.startswith("exit code"))
