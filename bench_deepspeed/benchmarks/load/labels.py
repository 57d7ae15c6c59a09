"""What a load test is called, in tables and charts."""

from __future__ import annotations

import math

from bench_deepspeed.benchmarks.common.kind import machine_of
from bench_deepspeed.core import text
from bench_deepspeed.core.text import AS_SERVED, NOT_MEASURED
from bench_deepspeed.core.units import number
from bench_deepspeed.measure.percentiles import Percentile
from bench_deepspeed.report.blocks import Facets

from .records import LoadResult


def model_title(result: LoadResult) -> str:
    """The model, and whether its weights are random."""
    scenario = result.scenario
    return text.model_title(result.model.get("title", scenario["model"]), scenario["weights"], scenario["engine"])


def model_name(result: LoadResult) -> str:
    """The model's name, of which files can be named."""
    return str(result.model.get("name", result.scenario["model"]))


def title(result: LoadResult) -> str:
    """What was loaded with what, in one line."""
    target, *rest = settings(result)
    known = [part for part in rest if part != AS_SERVED]
    return ", ".join([model_title(result), target, machine(result), *known])


def machine(result: LoadResult) -> str:
    """The GPU or processor; of a server that is not this suite's its address."""
    return result.target.get("url") or machine_of(result.environment, result.scenario["device"])


def ranks_of(result: LoadResult) -> int:
    """The ranks that the model is split over; files from before there were several do not say it."""
    return int(result.scenario.get("tensor_parallel", 1))


def settings(result: LoadResult) -> tuple[str, str, str]:
    """The target with its engine, the precision, and the lengths of the requests."""
    scenario, workload = result.scenario, result.workload
    spread = f" ± {workload['spread']:.0%}" if workload["spread"] else ""
    prompt, new = workload["prompt_tokens"] or "the file's", workload["max_tokens"] or "the file's"
    unit = " words" if workload["prompt_tokens"] and result.target.get("prompts_of") == "words" else ""
    shared = f"{workload['shared_prefix']} shared + " if workload.get("shared_prefix") else ""
    lengths = f"{shared}{prompt}{unit} + {new} tokens{spread}"
    name, ranks = result.target["name"], ranks_of(result)
    target = name if name == scenario["engine"] else f"{name} ({text.engine_title(scenario['engine'], ranks)})"
    return target, scenario["precision"], lengths


def facets_of(result: LoadResult) -> Facets:
    """What the page's filter knows a load test by."""
    s = result.scenario
    return Facets(model_title(result), s["engine"], machine(result), s["precision"])


def percentile_cell(found: Percentile | None) -> str:
    """Milliseconds with the interval, for a cell of a table; see `percentile_text`."""
    return NOT_MEASURED if found is None or found.value is None else percentile_text(found)


def percentile_text(found: Percentile | None) -> str:
    """Milliseconds with the interval: "847.2 [801.2, 900.3]"; "∞" where too many requests failed for a number.

    Where it was not measured, of how many independent values it would have been, and how many it takes.
    """
    if found is None:
        return NOT_MEASURED
    if found.value is None:
        return f"{NOT_MEASURED}: {found.shortfall}"
    bounds = NOT_MEASURED if found.low is None or found.high is None else f"{_ms(found.low)}, {_ms(found.high)}"
    return f"{_ms(found.value)} [{bounds}]"


def _ms(seconds: float) -> str:
    return "∞" if math.isinf(seconds) else number(1e3 * seconds, 1 if seconds < 1 else 0)
