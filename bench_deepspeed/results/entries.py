"""A saved run as one entry of the list, whatever command made it; also one that cannot be read any more."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.benchmarks.ab import estimate
from bench_deepspeed.benchmarks.ab.records import AbResult
from bench_deepspeed.benchmarks.load import metrics
from bench_deepspeed.benchmarks.load.records import LoadResult
from bench_deepspeed.benchmarks.quality.records import Quality
from bench_deepspeed.benchmarks.run.rows import speed_cell
from bench_deepspeed.benchmarks.selftest.command import SelfTest
from bench_deepspeed.benchmarks.sweep.records import SweepResult
from bench_deepspeed.core.errors import BenchError, ImpossibleError, named
from bench_deepspeed.core.folder_lock import unheld
from bench_deepspeed.core.json_files import validated
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure import plausibility
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.statistics import Interval, speed_interval
from bench_deepspeed.model import catalog

from .find import Found

IMPOSSIBLE = "impossible"


@dataclass(frozen=True)
class Entry:
    """One run in the list. `speed` is a cell: of what is no single speed, how much there is of it."""

    id: str
    folder: Path
    kind: str
    started: datetime.datetime
    status: str
    models: list[str] = field(default_factory=list)
    weights: str = ""
    engines: list[str] = field(default_factory=list)
    precisions: list[str] = field(default_factory=list)
    device: str = ""
    speed: str = ""
    interval: Interval | None = None
    warnings: list[str] = field(default_factory=list)
    commit: str | None = None
    error: str | None = None


def entry(found: Found) -> Entry:
    """Read one run. What cannot be read is an entry too, with the reason as its error."""
    facts = {"id": found.id, "folder": found.folder, "kind": found.kind, "started": found.named}
    path = found.files[found.kind]
    try:
        with named(path):
            return _read(found, {**facts, **READERS[found.kind](path)})
    except BenchError as error:
        return Entry(**facts, status="unreadable", error=" ".join(str(error).split()))


def _read(found: Found, facts: dict) -> Entry:
    """The entry of what a reader made of a file. Raises BenchError where a field is not of its type."""
    facts["started"] = _last(facts.pop("started_at"), found.named)
    if facts["status"] == "running" and not is_held(found.folder):
        facts["status"] = "killed"
    return validated(Entry, facts)


def is_held(folder: Path) -> bool:
    """Whether a run of this machine is at work in a folder, whatever its file says."""
    try:
        with unheld(folder) as free:
            return not free
    except OSError:
        return True  # not ours to open: leave it alone


def _last(times: list[str], named: datetime.datetime) -> datetime.datetime:
    """When it was last started: a sweep can be resumed, long after its folder was named."""
    try:
        time = datetime.datetime.fromisoformat(times[-1])
    except (ValueError, IndexError):
        return named
    return time if time.tzinfo else named


def _run(path: Path) -> dict:
    result = Result.load(path)
    scenario = result.scenario
    impossible = _impossible(result)
    speed, interval = (IMPOSSIBLE, None) if impossible else (speed_cell(result), speed_interval(result))
    return {
        **_common(result, scenario.device),
        "started_at": [result.started_at],
        "models": [scenario.model],
        "weights": scenario.weights,
        "engines": [scenario.engine],
        "precisions": [scenario.precision],
        "speed": speed,
        "interval": interval,
        "warnings": [warning["code"] for warning in result.warnings],
    }


def _impossible(result: Result) -> bool:
    """Whether it holds a generation beyond the device's limits, which is never shown as a speed."""
    try:
        plausibility.check(result, catalog.load(result.scenario.model))
    except ImpossibleError:
        return True
    return False


def _sweep(path: Path) -> dict:
    sweep = SweepResult.load(path)
    settings = sweep.settings
    complete = sum(scenario.status == "complete" for scenario in sweep.scenarios)
    return {
        **_common(sweep, settings.device),
        "started_at": sweep.started_at,
        "models": [settings.model],
        "weights": settings.weights,
        "engines": settings.engines,
        "precisions": settings.precisions,
        "speed": f"{complete} of {len(sweep.scenarios)} scenarios",
    }


def _load(path: Path) -> dict:
    load = LoadResult.load(path)
    speeds = [(metrics.figures(level, load.sla).tokens_per_s, level.name) for level in load.levels]
    speed, best = max((found for found in speeds if found[0] is not None), default=(None, None))
    return {
        **_common(load, load.scenario["device"]),
        **_of_dict(load.scenario),
        "started_at": [load.started_at],
        "speed": f"{speed:.2f} at most, {best}" if best else NOT_MEASURED if speeds else "no level",
    }


def _quality(path: Path) -> dict:
    quality = Quality.load(path)
    return {
        **_common(quality, quality.device),
        "started_at": [quality.started_at],
        "models": [str(quality.model["name"])],
        "weights": str(quality.model["weights"]),
        "engines": [quality.engine],
        "precisions": [candidate["precision"] for candidate in quality.candidates],
        "warnings": [f"outside the noise floor in {precision}" for precision in quality.outside],
    }


def _selftest(path: Path) -> dict:
    test = SelfTest.load(path)
    return {
        **_of_dict(test.scenario),
        "started_at": [test.started_at],
        "status": "complete",  # its file is written at the end
        "device": _device(test.scenario["device"], test.environment),
        "commit": test.environment.get("commit"),
        "warnings": [f"{one.name}: {one.verdict}" for one in test.comparisons if one.verdict != "pass"],
    }


def _ab(path: Path) -> dict:
    result = AbResult.load(path)
    scenarios = [side.scenario for side in result.sides.values()]
    found = estimate.ratio(estimate.log_ratios(result))
    speed = f"B ∕ A {found.shown}" if found else NOT_MEASURED
    return {
        **_common(result, scenarios[0].device),
        "started_at": [result.started_at],
        "models": _unique(one.model for one in scenarios),
        "weights": ", ".join(_unique(one.weights for one in scenarios)),
        "engines": _unique(one.engine for one in scenarios),
        "precisions": _unique(one.precision for one in scenarios),
        "speed": IMPOSSIBLE if any(map(_impossible, result.sides.values())) else speed,
        "warnings": [warning["code"] for warning in result.warnings],
    }


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _common(saved: Result | SweepResult | LoadResult | Quality | AbResult, device: str) -> dict:
    return {
        "status": saved.status,
        "error": saved.error,
        "device": _device(device, saved.environment),
        "commit": saved.environment.get("commit"),
    }


def _of_dict(scenario: dict) -> dict:
    """What a scenario says that is kept as a dictionary."""
    return {
        "models": [str(scenario["model"])],
        "weights": str(scenario["weights"]),
        "engines": [str(scenario["engine"])],
        "precisions": [str(scenario["precision"])],
    }


def _device(device: str, environment: dict) -> str:
    return str(environment.get("gpu_used" if device == "cuda" else "cpu") or device)


READERS: dict[str, Callable[[Path], dict]] = {
    "run": _run,
    "sweep": _sweep,
    "load": _load,
    "quality": _quality,
    "selftest": _selftest,
    "ab": _ab,
}
