"""What more ranks give: throughput, throughput a device, latency, and the efficiency against one rank."""

from __future__ import annotations

from bench_deepspeed.core import units
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.report.blocks import Block, Table, Text

from . import derived
from .labels import varying
from .metrics import COMBINED, ScenarioRow
from .records import SweepResult, SweepScenario

LEGEND = (
    "tokens/s: of all sequences, prefill included; per device: these ∕ devices, which on a CPU all ranks share; "
    "per token: batch ∕ decode tokens/s; efficiency: tokens/s per device over those of one rank [95% interval]: 1 is "
    "as much from each device as one alone gives"
)
OPTIONAL = ("prefill",)
"""Columns that a narrow terminal does not show."""


def tables(sweep: SweepResult) -> list[Block]:
    """A row for each scenario; none for a sweep of one number of ranks."""
    if len(sweep.settings.tensor_parallel) < 2:
        return []
    rows = [_row(sweep, scenario) for scenario in sorted(sweep.scenarios, key=derived.apart_from_ranks)]
    title = "Scaling over ranks"
    return [Text(title, strong=True), Table(rows, title, optional=OPTIONAL), Text(LEGEND)]


def _row(sweep: SweepResult, scenario: SweepScenario) -> dict[str, str]:
    row = ScenarioRow(sweep, scenario)
    named = [metric for metric in COMBINED if metric.name in varying(sweep) and metric.name != "tensor_parallel"]
    settings = {", ".join(m.title for m in named): ", ".join(m.cell(row) for m in named)} if named else {}
    ranks = {**settings, "ranks": str(scenario.tensor_parallel)}
    if row.overall is None:
        return {
            **ranks,
            "prefill": "",
            "per token": "",
            "tokens/s": scenario.status,
            "per device": "",
            "efficiency": "",
        }
    prefill, found = derived.prefill_s(scenario), derived.efficiency(sweep, scenario)
    return {
        **ranks,
        "prefill": units.milliseconds(prefill and prefill.value),
        "per token": units.milliseconds(scenario.batch_size / row.rate.value) if row.rate else NOT_MEASURED,
        "tokens/s": units.number(row.overall.value),
        "per device": units.number(row.per_device),
        "efficiency": NOT_MEASURED if found is None else found.shown if scenario.tensor_parallel > 1 else "1",
    }
