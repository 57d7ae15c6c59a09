"""The metrics of one scenario of a sweep. A scenario that is not complete has no values: none is shown as a speed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench_deepspeed.benchmarks.common.kind import peak_metric, warnings_metric
from bench_deepspeed.core import units
from bench_deepspeed.core.text import NOT_MEASURED, RANKS
from bench_deepspeed.engines import engine_class
from bench_deepspeed.measure import warnings
from bench_deepspeed.measure.metric import Bounds, Metric
from bench_deepspeed.measure.ratio import Ratio
from bench_deepspeed.measure.records import Limits, Result, Run, Scenario
from bench_deepspeed.model import catalog

from . import derived
from .records import CellQuality, SweepResult, SweepScenario

WIDE = 0.25
"""An interval wider than this is shown by its ends: of a logarithm they are no longer equally far from the value."""
MACHINE = {
    "clocks": "the GPU's clock differed between generations",
    "throttling": "the GPU lowered its clock",
    "temperature": "the GPU became hotter",
    "shared_gpu": "other processes used the GPU",
    "busy_host": "other processes used the CPUs",
    "recompiled": "the engine compiled during timed generations",
}
"""Code → meaning of the warnings that the readings around a scenario's generations can give."""


@dataclass(frozen=True)
class ScenarioRow:
    """A scenario and the sweep that it belongs to."""

    sweep: SweepResult
    scenario: SweepScenario

    @property
    def complete(self) -> bool:
        return self.scenario.status == "complete"

    @property
    def limits(self) -> Limits | None:
        return derived.limits_of(self.sweep, self.scenario)

    @property
    def rate(self) -> derived.Estimate | None:
        return derived.decode_rate(self.scenario) if self.complete else None

    @property
    def quality(self) -> CellQuality | None:
        """What the check of the answers of its engine in its precision found."""
        return next((found for found in self.sweep.quality if found.key == self.scenario.key), None)

    @property
    def per_device(self) -> float | None:
        """Tokens/s of all sequences, prefill included, over the devices of its ranks."""
        return self.overall and self.overall.value / self.sweep.devices(self.scenario)

    @property
    def overall(self) -> derived.Estimate | None:
        return derived.overall_tokens_per_s(self.scenario) if self.complete else None


def rows(sweep: SweepResult) -> list[ScenarioRow]:
    """Every scenario, in the order of the plan."""
    return [ScenarioRow(sweep, scenario) for scenario in sweep.scenarios]


def warnings_of(row: ScenarioRow) -> list[str]:
    """Codes of what disturbed the machine during the scenario's whole generations, and of figures that say little.

    See `measure.warnings`; `few_samples` is of fewer than 3 processes, whatever they repeated, `wide_interval` of
    decode tokens/s, or of all tokens/s where there is no decode, and `not_checked` of a batch whose answers were not
    compared with the model's logits.
    """
    settings, scenario = row.sweep.settings, row.scenario
    as_run = Scenario(
        settings.model,
        scenario.engine,
        settings.device,
        scenario.precision,
        settings.weights,
        "",
        scenario.max_tokens,
        processes=1,
        repetitions=settings.repetitions,
        warmups=scenario.warmups,
        seed=settings.seed,
    )
    result = Result(as_run, environment=row.sweep.environment, runs=[Run(samples=scenario.total)])
    codes = [finding.code for finding in warnings.check(result) if finding.code in MACHINE]
    shown = row.rate or row.overall
    if shown is None:
        return codes
    few = len(scenario.processes) < warnings.MIN_PROCESSES
    wide = shown.relative is not None and shown.relative > warnings.INTERVAL_LIMIT
    unchecked = scenario.check is None and engine_class(scenario.engine).reads_weights()
    return [*["few_samples"] * few, *["wide_interval"] * wide, *["not_checked"] * unchecked, *codes]


def weights_bytes(row: ScenarioRow) -> int | None:
    """Of the weights as they are stored: packed ones with their scales."""
    return row.scenario.memory and row.scenario.memory.weights_bytes


def peak_bytes(row: ScenarioRow) -> int | None:
    """The peak of the device's memory; on a CPU, of the host's process; None where it was not measured."""
    return row.scenario.memory and row.scenario.memory.peak_bytes(row.sweep.settings.device)


EstimateOf = Callable[[ScenarioRow], derived.Estimate | None]


def _prefill(row: ScenarioRow) -> derived.Estimate | None:
    return derived.prefill_s(row.scenario) if row.complete else None


def _overall(row: ScenarioRow) -> derived.Estimate | None:
    return row.overall


def _rate(row: ScenarioRow) -> derived.Estimate | None:
    return row.rate


def _value(estimate_of: EstimateOf) -> Callable[[ScenarioRow], float | None]:
    return lambda row: (estimate := estimate_of(row)) and estimate.value


def _bounds(estimate_of: EstimateOf) -> Callable[[ScenarioRow], Bounds | None]:
    return lambda row: (estimate := estimate_of(row)) and estimate.bounds


def _memory_limit(row: ScenarioRow) -> float | None:
    settings = row.sweep.settings
    return row.limits and derived.memory_limit(catalog.load(settings.model), row.scenario, settings.device, row.limits)


def _compute_limit(row: ScenarioRow) -> float | None:
    return row.limits and derived.compute_limit(catalog.load(row.sweep.settings.model), row.limits)


def _share_of_limit(row: ScenarioRow) -> float | None:
    if row.rate is None or row.limits is None:
        return None
    settings = row.sweep.settings
    limit = derived.decode_limit(catalog.load(settings.model), row.scenario, settings.device, row.limits)
    return row.rate.value / limit


def _efficiency(row: ScenarioRow) -> Ratio | None:
    """None for a sweep of one number of ranks too: there is nothing to hold it against."""
    return derived.efficiency(row.sweep, row.scenario) if len(row.sweep.settings.tensor_parallel) > 1 else None


def _efficiency_bounds(row: ScenarioRow) -> Bounds | None:
    found = _efficiency(row)
    return None if found is None or found.low is None or found.high is None else (found.low, found.high)


def _rate_cell(row: ScenarioRow) -> str:
    if row.rate is None:
        return NOT_MEASURED
    value, relative, bounds = row.rate.value, row.rate.relative, row.rate.bounds
    if relative is None or bounds is None:
        return f"{value:,.1f}"
    if relative <= WIDE:
        return f"{value:,.1f} ± {relative:.1%}"
    return f"{value:,.0f} [{bounds[0]:,.0f}, {bounds[1]:,.0f}]"


def _setting(name: str, title: str, meaning: str) -> Metric[ScenarioRow]:
    return Metric(name, title, "", meaning, lambda row: getattr(row.scenario, name), shown=_setting_cell(name))


def _setting_cell(name: str) -> Callable[[ScenarioRow], str]:
    return lambda row: str(getattr(row.scenario, name))


COMBINED: tuple[Metric[ScenarioRow], ...] = (
    _setting("engine", "engine", "what generated"),
    _setting("precision", "precision", "of the weights; the engine's description has that of the products"),
    _setting("tensor_parallel", "ranks", RANKS),
    _setting("batch_size", "batch", "sequences at once"),
    _setting("prompt_tokens", "prompt", "tokens of each prompt"),
    _setting("max_tokens", "new tokens", "new tokens of each generation"),
)
"""What a sweep combines: each is a column where it varies, and shown once above the table where it does not."""

METRICS: tuple[Metric[ScenarioRow], ...] = (
    Metric(
        "status",
        "status",
        "",
        "of the scenario: `complete`, or why it has no values",
        lambda r: r.scenario.status,
        place="data",
    ),
    *COMBINED,
    Metric(
        "repetitions",
        "repetitions",
        "count",
        "timed pairs of generations, of all processes together",
        lambda r: len(r.scenario.total),
        place="data",
    ),
    Metric(
        "processes",
        "processes",
        "count",
        "processes that measured it",
        lambda r: len(r.scenario.processes),
        place="data",
    ),
    Metric("reason", "reason", "", "the reason where there are no values", lambda r: r.scenario.reason, place="data"),
    Metric(
        "prefill_s",
        "prefill",
        "s",
        "mean time until each sequence has its first token",
        _value(_prefill),
        "lower",
        interval=_bounds(_prefill),
        place="summary",
        shown=lambda r: units.milliseconds(_value(_prefill)(r)),
    ),
    Metric(
        "decode_tokens_per_s",
        "decode tokens/s",
        "tokens/s",
        "new tokens a second of all sequences, after the first",
        _value(_rate),
        "higher",
        interval=_bounds(_rate),
        place="summary",
        shown=_rate_cell,
    ),
    Metric(
        "interval_of",
        "interval of",
        "",
        "what the intervals are over: `processes`, or `rounds of one process`, which do not cover another process",
        lambda r: (prefill := _prefill(r)) and prefill.units,
        place="data",
    ),
    Metric(
        "memory_limit_tokens_per_s",
        "memory limit",
        "tokens/s",
        "decode tokens/s that the memory allows",
        _memory_limit,
        place="data",
    ),
    Metric(
        "compute_limit_tokens_per_s",
        "compute limit",
        "tokens/s",
        "decode tokens/s that the matrix products allow",
        _compute_limit,
        place="data",
    ),
    Metric(
        "share_of_limit",
        "of the limit",
        "share",
        "decode tokens/s over what memory and matrix products allow",
        _share_of_limit,
        "higher",
        place="summary",
        in_files=False,
    ),
    Metric(
        "tokens_per_s",
        "tokens/s",
        "tokens/s",
        "new tokens a second of all sequences, prefill included",
        _value(_overall),
        "higher",
        interval=_bounds(_overall),
        place="summary",
        shown=lambda r: units.number(_value(_overall)(r)),
    ),
    Metric(
        "tokens_per_s_per_device",
        "per device",
        "tokens/s",
        "new tokens a second, prefill included, over the devices of the ranks",
        lambda r: r.per_device,
        "higher",
        place="data",
    ),
    Metric(
        "scaling_efficiency",
        "efficiency",
        "times",
        "of a sweep over numbers of ranks: tokens/s a device over those of the same on one rank",
        lambda r: (found := _efficiency(r)) and found.value,
        "higher",
        interval=_efficiency_bounds,
        place="data",
    ),
    Metric(
        "timed_answers_gap",
        "timed answers",
        "logits",
        "largest distance of a token's logit below the largest logit, of two timed sequences",
        lambda r: max(r.scenario.check.gaps) if r.scenario.check else None,
        place="data",
    ),
    Metric("weights_bytes", "weights", "bytes", "the weights as they are stored", weights_bytes, "lower", place="data"),
    peak_metric(peak_bytes),
    Metric(
        "mean_kl",
        "mean KL",
        "",
        "of the engine in this precision: mean KL divergence from float32, nats, early in the context",
        lambda r: r.quality and r.quality.mean_kl,
        "lower",
        place="data",
    ),
    Metric(
        "quality",
        "quality",
        "",
        "of the engine in this precision: the verdict on its answers",
        lambda r: r.quality and r.quality.words,
        place="data",
    ),
    warnings_metric(warnings_of),
)
