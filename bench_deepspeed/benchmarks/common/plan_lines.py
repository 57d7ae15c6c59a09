"""The lines that every `--dry_run` prints: the weights, the set-up and the time. Imports the standard library alone."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench_deepspeed import weights
from bench_deepspeed.core import paths
from bench_deepspeed.core.paths import VENV
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import engine_title, wrapped
from bench_deepspeed.core.units import gigabytes
from bench_deepspeed.machine.environment import gpus
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import store
from bench_deepspeed.weights.needed import want_of

WIDTH = 12
LONGEST_S = 86_400
"""Longest time of a run, in seconds: a file that was written later was touched by something else."""
SAME = ("model", "engine", "device", "precision", "weights", "tensor_parallel")
"""What an earlier run must have in common for its time to predict that of this one."""


def say(name: str, text: str) -> None:
    """Print one line of a plan; an empty name continues the line above."""
    print(wrapped(f"{name:<{WIDTH}}{text}", columns(), WIDTH * " "))


def say_subject(scenario: Scenario, precisions: str = "") -> None:
    """The model and the engine, in several `precisions` where these are named, and a missing GPU."""
    spec = catalog.load(scenario.model)
    say("model", f"{spec.title}: {spec.parameters:,} parameters, {spec.licence}")
    engine, precisions = engine_title(scenario.engine, scenario.tensor_parallel), precisions or scenario.precision
    say("engine", f"{engine} on {scenario.device} in {precisions}, {scenario.weights} weights")
    say_machine(scenario.device)


def say_machine(device: str) -> None:
    """Whether the GPU is lacking."""
    if device == "cuda" and not gpus():
        say("machine", "this machine has no GPU: the run itself would be refused")


def say_needs(models_dir: Path, scenarios: Iterable[Scenario]) -> None:
    """What is installed, fetched and converted first, and the disk that it takes."""
    if not (VENV / ".installed").exists():
        say("environment", f"install requirements.txt into {VENV} (several GB with torch's CUDA build)")
    steps: dict[Path, weights.Step] = {}
    ready: dict[Path, None] = {}
    for scenario in scenarios:
        spec, want = catalog.load(scenario.model), want_of(scenario)
        missing = weights.plan(models_dir, spec, want) if want else []
        steps |= {step.folder: step for step in missing}
        if want and not missing:
            ready[weights.final_folder(models_dir, spec, want)] = None
    for folder in ready:
        say("weights", f"ready in {folder}")
    for step in steps.values():
        download, write = gigabytes(step.download_bytes), gigabytes(step.write_bytes)
        say("weights", f"{step.action}: download {download}, write {write}")
        say("", f"in {step.folder}" + (f" (again: {step.damage})" if step.damage else ""))
    needed = gigabytes(sum(step.write_bytes for step in steps.values()))
    say("disk", f"{needed} needed, {gigabytes(store.free_disk_bytes(models_dir.absolute()))} free")


def say_time(files: Iterable[Path], alike: Callable[[dict[str, Any]], bool], settings: Callable[[dict], str]) -> None:
    """How long the newest complete one of these results took that is `alike`, and in which settings."""
    for path in sorted(files, reverse=True):
        saved = _saved(path)
        taken_s = saved and saved.get("status") == "complete" and alike(saved) and _taken_s(path, saved)
        if taken_s:
            shown = datetime.timedelta(seconds=round(taken_s))
            say("time", f"{shown} (h:mm:ss) for an earlier one here, with {settings(saved)}:")
            say("", paths.shown(path.parent))
            return
    say("time", "not known: the results folder has no complete earlier one with these settings")


def is_alike(scenario: Scenario) -> Callable[[dict[str, Any]], bool]:
    """Whether a saved result is of the same model, engine, device, precision and weights."""

    def alike(saved: dict[str, Any]) -> bool:
        then = {"tensor_parallel": 1, **saved.get("scenario", {})}
        return all(then.get(name) == getattr(scenario, name) for name in SAME)

    return alike


def _saved(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and isinstance(content.get("scenario", {}), dict) else None


def _taken_s(path: Path, saved: dict[str, Any]) -> float | None:
    """Seconds from the start of a run to the last time that a file in its folder was written."""
    try:
        ended = max(file.stat().st_mtime for file in path.parent.iterdir())
        taken_s = ended - datetime.datetime.fromisoformat(str(saved.get("started_at"))).timestamp()
    except (OSError, ValueError):
        return None
    return taken_s if 0 < taken_s < LONGEST_S else None
