from __future__ import annotations

from bench_deepspeed.benchmarks.common.columns import _sample
from bench_deepspeed.model import catalog
from bench_deepspeed.report.flat_files import Row

from . import derived
from . import view as sweep_report
from .records import SweepResult, SweepScenario


def _sweep_rows(sweep: SweepResult) -> list[Row]:
    return [_sweep_row(sweep, scenario) for scenario in sweep.scenarios]


def _sweep_row(sweep: SweepResult, scenario: SweepScenario) -> Row:
    shown = scenario.status == "complete"  # what is impossible is never shown as a speed
    rate = derived.decode_rate(scenario) if shown else None
    spec, limits = catalog.load(sweep.settings.model), derived.limits_of(sweep, scenario)
    return {
        "status": scenario.status,
        "engine": scenario.engine,
        "precision": scenario.precision,
        "batch_size": scenario.batch_size,
        "prompt_tokens": scenario.prompt_tokens,
        "max_tokens": scenario.max_tokens,
        "repetitions": len(scenario.total),
        "reason": scenario.reason,
        "prefill_s": derived.mean_s(scenario.prefill) if shown else None,
        "decode_tokens_per_s": rate and rate.tokens_per_s,
        "decode_tokens_per_s_error": rate and rate.standard_error,
        "memory_limit_tokens_per_s": limits and derived.memory_limit(spec, scenario, limits),
        "compute_limit_tokens_per_s": limits and derived.compute_limit(spec, limits),
        "tokens_per_s": derived.overall_tokens_per_s(scenario) if shown else None,
        "warnings": " ".join(sweep_report.warnings(sweep, scenario)),
    }


def _sweep_samples(sweep: SweepResult) -> list[Row]:
    return [
        {
            **_sample(sample, (phase, group, index), scenario.status == "complete", scenario.batch_size),
            "engine": scenario.engine,
            "precision": scenario.precision,
        }
        for group, scenario in enumerate(sweep.scenarios, 1)
        for phase, series in (("prefill", scenario.prefill), ("total", scenario.total))
        for index, sample in enumerate(series, 1)
    ]
