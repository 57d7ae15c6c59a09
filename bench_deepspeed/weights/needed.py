"""Which weights a scenario needs."""

from __future__ import annotations

from bench_deepspeed import weights
from bench_deepspeed.engines import engine_class
from bench_deepspeed.measure.records import Scenario


def want_of(scenario: Scenario) -> weights.Want | None:
    """The weights that a scenario's engine reads; None for an engine without any."""
    form = engine_class(scenario.engine).form
    # Weights are packed while they load, from those in the precision of the products.
    return form and weights.Want(scenario.weights, form, scenario.cell.compute, scenario.seed)


def can_check(scenario: Scenario) -> bool:
    """Whether a scenario has answers whose quality can be checked."""
    return scenario.weights == "pretrained" and want_of(scenario) is not None
