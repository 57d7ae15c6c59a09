"""`bench.sh sweep --dry_run`: the scenarios, what each takes, and which are impossible. Touches nothing."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.plan_lines import WIDTH, say_machine
from bench_deepspeed.core.json_files import file_to_resume
from bench_deepspeed.core.text import engine_title
from bench_deepspeed.core.units import gigabytes
from bench_deepspeed.machine import environment
from bench_deepspeed.model import catalog
from bench_deepspeed.model.catalog import ModelSpec
from bench_deepspeed.report import terminal
from bench_deepspeed.report.blocks import Table, Text

from . import derived, plan
from .records import FILE, SweepResult, SweepScenario

COLUMNS = ("engine", "precision", "batch", "prompt", "new tokens", "KV cache", "read a step", "time", "state")
OPTIONAL = ("read a step", "KV cache")
"""Columns that a narrow terminal does not show, the first one first."""
NOT_KNOWN = "not known"
LEGEND = (
    "read a step: weights and KV cache that a decode step reads; time: as measured; else a lower bound from measured "
    "limits, without loading; else not known"
)


def show(options) -> int:
    """Print the plan; of a sweep to be resumed, with what was measured."""
    if options.resume is not None:
        sweep = plan.resumed(file_to_resume(options.resume, FILE))
        plan.settings_of(options, sweep.settings)
    else:
        sweep = plan.new_result(plan.settings_of(options))
    spec, settings = catalog.load(sweep.settings.model), sweep.settings
    free_bytes = environment.free_memory_bytes(settings.device)
    print(f"{'model':<{WIDTH}}{spec.title} on {settings.device}, {settings.weights} weights")
    say_machine(settings.device)
    print(f"{'memory':<{WIDTH}}{NOT_KNOWN if free_bytes is None else gigabytes(free_bytes)} free")
    refusals = [
        scenario.status == "pending" and plan.refusal(spec, settings, scenario, free_bytes)
        for scenario in sweep.scenarios
    ]
    states = list(zip(sweep.scenarios, refusals, strict=True))
    rows = [
        dict(zip(COLUMNS, _row(spec, sweep, scenario, "refused" if refused else scenario.status), strict=True))
        for scenario, refused in states
    ]
    reasons = plan.reason_lines([(scenario, "refused", refused or None) for scenario, refused in states])
    texts = [*plan.order_text(sweep), LEGEND, *reasons]
    print(terminal.render([Table(rows, "Plan", optional=OPTIONAL), *map(Text, texts)]))
    return 0


def _row(spec: ModelSpec, sweep: SweepResult, scenario: SweepScenario, state: str) -> tuple[str, ...]:
    size = (scenario.batch_size, scenario.prompt_tokens, scenario.max_tokens)
    device, known = sweep.settings.device, ("",) * 3
    if scenario.cell(device).path:
        needs = (plan.kv_bytes(spec, scenario, device), derived.step(spec, scenario, device).bytes)
        known = (*map(gigabytes, needs), "" if state == "refused" else _time(spec, sweep, scenario))
    engine = engine_title(scenario.engine, scenario.tensor_parallel)
    return (engine, scenario.precision, *map(str, size), *known, state)


def _time(spec: ModelSpec, sweep: SweepResult, scenario: SweepScenario) -> str:
    if scenario.status == "complete":
        return f"{sum(sample.seconds for sample in [*scenario.prefill, *scenario.total]):.1f} s"
    limits = derived.limits_of(sweep, scenario)
    if limits is None:
        return NOT_KNOWN
    rounds = sweep.settings.processes * (sweep.settings.warmups + sweep.settings.repetitions)
    return f"≥ {derived.least_s(spec, scenario, sweep.settings.device, limits, rounds):.1f} s"
