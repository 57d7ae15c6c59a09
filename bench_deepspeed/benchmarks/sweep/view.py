"""A sweep as one table: a column only for what varies, and what does not is said once above it."""

from __future__ import annotations

from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure import warnings as checks
from bench_deepspeed.measure.records import Result, Run, Scenario
from bench_deepspeed.model import catalog
from bench_deepspeed.report.tables import table as as_table

from . import derived
from .records import SweepResult, SweepScenario

KEYS = {  # field of a scenario → title of its column
    "engine": "engine",
    "precision": "precision",
    "batch_size": "batch",
    "prompt_tokens": "prompt",
    "max_tokens": "new tokens",
}
MACHINE = ("clocks", "throttling", "temperature", "shared_gpu", "busy_host", "recompiled")
"""Codes of the warnings that the readings around a scenario's generations can give."""
LEGEND = (
    "batch: sequences at once; prompt and new tokens: of each sequence; prefill: mean time until each has its first "
    "token; decode tokens/s: of all sequences after that, ± standard error; of the limit: its share of what memory and "
    "matrix products allow; tokens/s: of all sequences, prefill included"
)
WIDTHS = {"engine": 12, "precision": 9, "prefill": 13, "decode tokens/s": 20, "of the limit": 12, "tokens/s": 12}
"""Columns whose cells are wider than their titles, when rows are shown one by one."""


def constants(sweep: SweepResult) -> str:
    """What all rows share, in one line."""
    settings = sweep.settings
    shared = {
        "model": model_title(sweep),
        "device": device_name(sweep),
        **{title: _key(sweep.scenarios[0], name) for name, title in KEYS.items() if name not in varying(sweep)},
        "repetitions": str(settings.repetitions),
    }
    return "; ".join(f"{title}: {value}" for title, value in shared.items())


def model_title(sweep: SweepResult) -> str:
    """The model, and whether its weights are random."""
    settings = sweep.settings
    random = " (random weights)" if settings.weights == "random" and settings.engines != ["fake"] else ""
    return catalog.load(settings.model).title + random


def device_name(sweep: SweepResult) -> str:
    """The GPU's name on CUDA, the processor's on the CPU."""
    facts, device = sweep.environment, sweep.settings.device
    return facts.get("gpu_used" if device == "cuda" else "cpu") or device


def varying(sweep: SweepResult) -> list[str]:
    """The fields of a scenario that have more than one value in this sweep."""
    return [name for name in KEYS if len({getattr(scenario, name) for scenario in sweep.scenarios}) > 1]


def row(sweep: SweepResult, scenario: SweepScenario) -> dict[str, str]:
    """Column → cell. What was not measured has its status in the first column of figures."""
    cells = {KEYS[name]: _key(scenario, name) for name in varying(sweep)}
    figures = _figures(sweep, scenario)
    if scenario.status != "complete":
        figures = {title: scenario.status if number == 0 else "" for number, title in enumerate(figures)}
    return {**cells, **figures}


def _key(scenario: SweepScenario, name: str) -> str:
    return str(getattr(scenario, name))


def _figures(sweep: SweepResult, scenario: SweepScenario) -> dict[str, str]:
    rate, speed = derived.decode_rate(scenario), derived.overall_tokens_per_s(scenario)
    prefill = derived.mean_s(scenario.prefill)
    cells = {"prefill": NOT_MEASURED if prefill is None else f"{1e3 * prefill:,.1f} ms"}
    if max(sweep.settings.max_tokens) > 1:
        cells["decode tokens/s"] = NOT_MEASURED if rate is None else _with_error(rate)
        if sweep.limits:
            cells["of the limit"] = _share(sweep, scenario, rate)
    cells["tokens/s"] = NOT_MEASURED if speed is None else f"{speed:,.1f}"
    cells["warnings"] = ", ".join(warnings(sweep, scenario)) or "none"
    return cells


def _with_error(rate: derived.DecodeRate) -> str:
    error = "" if rate.standard_error is None else f" ± {rate.standard_error:,.1f}"
    return f"{rate.tokens_per_s:,.1f}{error}"


def _share(sweep: SweepResult, scenario: SweepScenario, rate: derived.DecodeRate | None) -> str:
    limits = derived.limits_of(sweep, scenario)
    if rate is None or limits is None:
        return NOT_MEASURED
    return f"{rate.tokens_per_s / derived.decode_limit(catalog.load(sweep.settings.model), scenario, limits):.0%}"


def warnings(sweep: SweepResult, scenario: SweepScenario) -> list[str]:
    """Codes of what disturbed the machine during the scenario's whole generations; see `checks`."""
    settings = sweep.settings
    asked = Scenario(
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
    result = Result(asked, environment=sweep.environment, runs=[Run(samples=scenario.total)])
    return [finding.code for finding in checks.check(result) if finding.code in MACHINE]


def head(sweep: SweepResult) -> list[str]:
    """The lines above the rows."""
    widths = _widths(sweep)
    return [constants(sweep), "", _line(dict(zip(widths, widths, strict=True)), widths), _rule(widths)]


def line(sweep: SweepResult, scenario: SweepScenario) -> str:
    """One row, as wide as every other whatever they hold, so that it can be shown before the next is known."""
    return _line(row(sweep, scenario), _widths(sweep))


def _widths(sweep: SweepResult) -> dict[str, int]:
    titles = row(sweep, sweep.scenarios[0])
    return {title: max(len(title), WIDTHS.get(title, 0)) for title in titles}


def _line(cells: dict[str, str], widths: dict[str, int]) -> str:
    return "| " + " | ".join(cells[title].ljust(width) for title, width in widths.items()) + " |"


def _rule(widths: dict[str, int]) -> str:
    return "|" + "|".join("-" * (width + 2) for width in widths.values()) + "|"


def reasons(sweep: SweepResult) -> list[str]:
    """Why rows have no figures, one line each."""
    return [
        f"{scenario.status}: {scenario.title()}: {scenario.reason}" for scenario in sweep.scenarios if scenario.reason
    ]


def table(sweep: SweepResult) -> str:
    """The whole table at once, as Markdown."""
    rows = [row(sweep, scenario) for scenario in sweep.scenarios]
    return as_table(rows)
