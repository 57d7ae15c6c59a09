"""What a load test is called, in tables and charts."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.kind import machine_of
from bench_deepspeed.core import text
from bench_deepspeed.report.blocks import Facets

from .records import LoadResult


def model_title(result: LoadResult) -> str:
    """The model, and whether its weights are random."""
    scenario = result.scenario
    return text.model_title(result.model.get("title", scenario["model"]), scenario["weights"], scenario["engine"])


def title(result: LoadResult) -> str:
    """What was loaded with what, in one line."""
    scenario, workload = result.scenario, result.workload
    spread = f" ± {workload['spread']:.0%}" if workload["spread"] else ""
    lengths = f"{workload['prompt_tokens'] or 'given'} + {workload['max_tokens'] or 'given'} tokens{spread}"
    return f"{model_title(result)}, {result.target['name']} ({scenario['engine']}), {scenario['precision']}, {lengths}"


def facets_of(result: LoadResult) -> Facets:
    """What the page's filter knows a load test by."""
    s = result.scenario
    machine = machine_of(result.environment, s["device"])
    return Facets(model_title(result), s["engine"], machine, s["precision"])
