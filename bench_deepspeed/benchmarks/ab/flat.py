from __future__ import annotations

from bench_deepspeed.benchmarks.run.flat import _compile_s, _result_samples, _speed
from bench_deepspeed.report.flat_files import Row

from . import estimate
from . import view as ab_report
from . import warnings as ab_checks
from .records import AbResult


def _ab_rows(result: AbResult) -> list[Row]:
    logs = estimate.log_ratios(result)
    found = estimate.ratio(logs)
    row = {
        "max_tokens": result.a.scenario.max_tokens,
        "pairs": sum(map(bool, logs)),
        "rounds": sum(map(len, logs)),
        "ratio": found and found.value,
        "ratio_low": found and found.low,
        "ratio_high": found and found.high,
        "faster": estimate.faster(found),
        "verdict": estimate.sentence(found),
    }
    for side, of in result.sides.items():
        asked_of = {name: getattr(of.scenario, name) for name in ("model", "weights", "engine", "precision")}
        configuration = ab_report.configuration(result, side)
        cells = {**asked_of, "configuration": configuration, **_speed(of), "compile_s": _compile_s(of)}
        row |= {f"{side.lower()}_{name}": value for name, value in cells.items()}
    return [{**row, "warnings": " ".join(finding.code for finding in ab_checks.check(result))}]


def _ab_samples(result: AbResult) -> list[Row]:
    """Those of A, then those of B; a round is valid or void as a whole."""
    void = {
        (pair, number)
        for of in result.sides.values()
        for pair, run in enumerate(of.runs, 1)
        for number, sample in enumerate(run.samples, 1)
        if sample.is_void(of.scenario)
    }
    found = []
    for side, of in result.sides.items():
        asked_of = {name: getattr(of.scenario, name) for name in ("model", "weights", "engine", "precision")}
        for row in _result_samples(of):
            valid = row["valid"] and (row["group"], row["index"]) not in void
            found.append({**row, **asked_of, "side": side, "valid": valid})
    return found
