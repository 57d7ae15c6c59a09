"""What more ranks give: throughput, throughput a device, latency, and the efficiency against one rank."""

from __future__ import annotations

from bench_deepspeed.core import units
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure.distributions import student_quantile
from bench_deepspeed.measure.ratio import LogError, Ratio, ratio_of
from bench_deepspeed.report.blocks import Block, Table, Text

from . import derived
from .labels import varying
from .metrics import COMBINED, ScenarioRow
from .records import SweepResult, SweepScenario

LEGEND = (
    "per token: batch ∕ decode tokens/s; tokens/s: of decoding; per device: these ∕ devices, which on a CPU all ranks "
    "share; efficiency: tokens/s over those of one rank, per device [95% interval]: 1 is as much from each device as "
    "one alone gives"
)
OPTIONAL = ("prefill",)
"""Columns that a narrow terminal does not show."""


def efficiency(scenario: SweepScenario, one: SweepScenario | None, devices: int) -> Ratio | None:
    """Decode tokens/s of several ranks over those of one, a device; None where one of them was not measured.

    The interval is Welch's, see `ratio.ratio_of`, of the processes, or, where there is one, of its rounds.
    """
    if one is None or {scenario.status, one.status} != {"complete"}:
        return None
    rate, base = derived.decode_rate(scenario), derived.decode_rate(one)
    if rate is None or base is None:
        return None
    value = rate.value / base.value / devices
    return ratio_of(value, value, _error(base), _error(rate))


def _error(rate: derived.Estimate) -> LogError | None:
    if rate.relative is None:
        return None
    degrees = rate.n - 1
    return LogError(rate.relative / student_quantile(degrees), degrees)


def tables(sweep: SweepResult) -> list[Block]:
    """A row for each scenario; none for a sweep of one number of ranks."""
    if len(sweep.settings.tensor_parallel) < 2:
        return []
    rows = [_row(sweep, scenario) for scenario in sorted(sweep.scenarios, key=_without_ranks)]
    return [Text("Scaling over ranks", strong=True), Table(rows, "Scaling over ranks", optional=OPTIONAL), Text(LEGEND)]


def _without_ranks(scenario: SweepScenario) -> tuple:
    """What a scenario has in common with that of another number of ranks."""
    return tuple(getattr(scenario, metric.name) for metric in COMBINED if metric.name != "tensor_parallel")


def _row(sweep: SweepResult, scenario: SweepScenario) -> dict[str, str]:
    row = ScenarioRow(sweep, scenario)
    named = [metric for metric in COMBINED if metric.name in varying(sweep) and metric.name != "tensor_parallel"]
    settings = {", ".join(m.title for m in named): ", ".join(m.cell(row) for m in named)} if named else {}
    rate, prefill = row.rate, derived.prefill_s(scenario) if row.complete else None
    devices = sweep.devices(scenario)
    found = efficiency(scenario, _of_one(sweep, scenario), devices)
    return {
        **settings,
        "ranks": str(scenario.tensor_parallel),
        "prefill": units.milliseconds(prefill and prefill.value) if row.complete else scenario.status,
        "per token": units.milliseconds(scenario.batch_size / rate.value) if rate else NOT_MEASURED,
        "tokens/s": units.number(rate and rate.value),
        "per device": units.number(rate.value / devices) if rate else NOT_MEASURED,
        "efficiency": NOT_MEASURED if found is None else found.shown if scenario.tensor_parallel > 1 else "1",
    }


def _of_one(sweep: SweepResult, scenario: SweepScenario) -> SweepScenario | None:
    """The same on one rank; None where the sweep has none."""
    alike = (other for other in sweep.scenarios if _without_ranks(other) == _without_ranks(scenario))
    return next((other for other in alike if other.tensor_parallel == 1), None)
