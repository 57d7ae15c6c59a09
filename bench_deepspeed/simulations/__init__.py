"""Measurements of the suite itself: its own code, on an engine whose truth is known."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from bench_deepspeed.core.json_files import write_json

from . import view


def command(name: str, description: str, path: Path, evidence: Callable[[], dict]) -> int:
    """One simulation as a command: print its table, and write its evidence, or with --check compare it. Seeded.

    Returns the exit code: 1 when with --check the evidence differs.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench_deepspeed.simulations.{name}", description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the evidence differs")
    options = parser.parse_args()
    content = json.loads(json.dumps(evidence()))  # as it is read back: tuples are lists there
    print(view.simulation_table(content, name))
    if options.check:
        return int(json.loads(path.read_text(encoding="utf-8")) != content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    return 0
