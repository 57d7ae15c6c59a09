"""What a sweep and its scenarios are called, in tables and charts."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.kind import machine_of
from bench_deepspeed.core import text
from bench_deepspeed.core.text import counted
from bench_deepspeed.model import catalog
from bench_deepspeed.report.blocks import Facets

from .metrics import COMBINED, ScenarioRow
from .records import SweepResult, SweepScenario


def constants(sweep: SweepResult) -> str:
    """What all rows share, in one line."""
    first = ScenarioRow(sweep, sweep.scenarios[0])
    shared = {
        "model": model_title(sweep),
        "device": machine_of(sweep.environment, sweep.settings.device),
        **{setting.title: setting.cell(first) for setting in COMBINED if _is_constant(sweep, setting.name)},
        "n": n_of(sweep),
    }
    caveat = [text.FAKE] if "fake" in sweep.settings.engines else []
    return "; ".join([*(f"{title}: {value}" for title, value in shared.items()), *caveat])


def _is_constant(sweep: SweepResult, name: str) -> bool:
    """Whether all rows share a setting; one rank goes without saying."""
    single = name == "tensor_parallel" and sweep.settings.tensor_parallel == [1]
    return name not in varying(sweep) and not single


def n_of(sweep: SweepResult) -> str:
    """ "3 processes × 2 rounds": what each interval is over."""
    return f"{counted(sweep.settings.processes, 'process')} × {counted(sweep.settings.repetitions, 'round')}"


def model_title(sweep: SweepResult) -> str:
    """The model, and whether its weights are random."""
    settings = sweep.settings
    return text.model_title(catalog.load(settings.model).title, settings.weights, *settings.engines)


def varying(sweep: SweepResult) -> list[str]:
    """The settings that have more than one value in this sweep."""
    names = [setting.name for setting in COMBINED]
    return [name for name in names if len({getattr(scenario, name) for scenario in sweep.scenarios}) > 1]


def facets_of(sweep: SweepResult, scenario: SweepScenario) -> Facets:
    """What the page's filter knows a scenario by."""
    machine = machine_of(sweep.environment, sweep.settings.device)
    return Facets(model_title(sweep), scenario.engine, machine, scenario.precision)
