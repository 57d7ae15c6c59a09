"""A sweep as a kind of result."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common import llama_bench
from bench_deepspeed.benchmarks.common.columns import sample_row
from bench_deepspeed.benchmarks.common.kind import Kind, Place, Subject, machine_of, status_refusal
from bench_deepspeed.engines import engine_class

from . import derived, view
from .labels import model_title
from .metrics import COMBINED, METRICS, ScenarioRow, rows
from .records import FILE, SweepResult


def _subject(sweep: SweepResult) -> Subject:
    s = sweep.settings
    return Subject(
        (s.model,),
        s.weights,
        tuple(s.engines),
        tuple(s.precisions),
        s.device,
        (sweep.started_at or [""])[-1],
        tuple(s.tensor_parallel),
    )


def samples(sweep: SweepResult) -> list[dict[str, object]]:
    """Prefills and whole generations of each scenario, in their order."""
    return [
        {
            **sample_row(sample, (phase, group, index), scenario.status == "complete", scenario.batch_size),
            "engine": scenario.engine,
            "precision": scenario.precision,
        }
        for group, scenario in enumerate(sweep.scenarios, 1)
        for phase, series in (("prefill", scenario.prefill), ("total", scenario.total))
        for index, sample in enumerate(series, 1)
    ]


def _headline(sweep: SweepResult) -> str:
    complete = sum(scenario.status == "complete" for scenario in sweep.scenarios)
    return f"{complete} of {len(sweep.scenarios)} scenarios"


def _refusal(sweep: SweepResult) -> str | None:
    """A sweep that was interrupted once all was measured lacks checks of answers alone, and each cell says which."""
    if (reason := status_refusal(sweep)) and not _lacks_checks_alone(sweep):
        return reason
    return "the fake engine measures nothing" if "fake" in sweep.settings.engines else None


def _lacks_checks_alone(sweep: SweepResult) -> bool:
    statuses = {scenario.status for scenario in sweep.scenarios}
    measured = {scenario.key for scenario in sweep.scenarios if scenario.status == "complete"}
    unchecked = measured - {found.key for found in sweep.quality}
    interrupted = sweep.status == "interrupted" and statuses <= {"complete", "refused"}
    return interrupted and sweep.settings.quality and bool(unchecked)


def _recomputed(sweep: SweepResult) -> dict[Place, object]:
    """Whether each scenario that was measured is possible."""
    judged: dict[Place, object] = {}
    for number, scenario in enumerate(sweep.scenarios):
        if scenario.status in ("complete", "impossible"):
            refused = derived.wrong_answers(scenario, sweep.settings.device) or derived.excess(sweep, scenario)
            judged["scenarios", number, "status"] = "impossible" if refused else "complete"
    return judged


def llama_bench_records(sweep: SweepResult) -> list[dict[str, object]]:
    """Of each scenario that was measured its prefill, and its decoding at that depth where it can be separated."""
    settings, records = sweep.settings, []
    for scenario in sweep.scenarios:
        if scenario.status != "complete" or not engine_class(scenario.engine).reads_weights():
            continue
        own = (settings.model, settings.weights, scenario.engine, scenario.precision, settings.device)
        engine = llama_bench.Engine(*own, scenario.tensor_parallel, sweep.started_at[0], sweep.environment)
        prefill, total = ([sample.seconds for sample in samples] for samples in (scenario.prefill, scenario.total))
        batch, prompt = scenario.batch_size, scenario.prompt_tokens
        tests = [llama_bench.Test(prompt, 0, 0, batch, prefill)]
        if derived.decode_rate(scenario) is not None:
            decode = [whole - first for whole, first in zip(total, prefill, strict=True)]
            tests += [llama_bench.Test(0, scenario.max_tokens - 1, prompt, batch, decode)] if min(decode) > 0 else []
        records += [llama_bench.record(engine, test) for test in tests]
    return records


def _row_name(row: ScenarioRow) -> str:
    settings = (f"{setting.title} {setting.cell(row)}" for setting in COMBINED)
    machine = machine_of(row.sweep.environment, row.sweep.settings.device)
    return ", ".join([f"sweep: {model_title(row.sweep)}", machine, *settings])


KIND = Kind(
    name="sweep",
    file=FILE,
    title="Batches",
    what="a sweep",
    published="sweeps",
    fields=frozenset({"settings", "scenarios"}),
    view=view.view,
    overview=view.overview,
    headline=_headline,
    load=SweepResult.load,
    subject=_subject,
    metrics=METRICS,
    rows=rows,
    samples=samples,
    recomputed=_recomputed,
    refusal=_refusal,
    row_name=_row_name,
    llama_bench_records=llama_bench_records,
)
