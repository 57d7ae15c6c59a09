"""What a comparison, its sides and their configurations are called, in tables and charts."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.kind import machine_of
from bench_deepspeed.benchmarks.run import metrics as run_metrics
from bench_deepspeed.core import text
from bench_deepspeed.measure.records import Result
from bench_deepspeed.model import catalog
from bench_deepspeed.report.blocks import Facets

from .records import AbResult


def constants(result: AbResult) -> str:
    """What both share, in one line."""
    s = result.a.scenario
    prompt_tokens = {
        sample.prompt_tokens for side_result in result.sides.values() for sample in side_result.valid_samples
    }
    length = f"{' or '.join(map(str, sorted(prompt_tokens))) or 'prompt'} + {s.max_tokens} tokens"
    return f"{models(result)}; {run_metrics.device_name(result.a)}; {length}"


def models(result: AbResult) -> str:
    """The model of both, or both."""
    return " and ".join(dict.fromkeys(map(model_title, result.sides.values())))


def configuration(result: AbResult, side: str) -> str:
    """Engine and precision, and what else differs between the sides."""
    own, other = result.sides[side], result.sides["B" if side == "A" else "A"]
    parts = [run_metrics.engine_title(own), own.scenario.precision]
    for mine, theirs in ((model_title(own), model_title(other)), (own.scenario.weights, other.scenario.weights)):
        parts += [mine] * (mine != theirs)
    facts, others = own.environment, other.environment
    packages = {name: (version, others.version(name)) for name, version in (facts.packages or {}).items()}
    parts += [f"{name} {mine or 'not installed'}" for name, (mine, theirs) in packages.items() if mine != theirs]
    parts += [f"Python {facts.python}"] * (facts.python != others.python)
    settings = result.asked[side]
    return ", ".join([*parts, *(f"{key[4:]}={value}" for key, value in settings.items() if key.startswith("env."))])


def model_title(side_result: Result) -> str:
    """A side's model, and whether its weights are random."""
    scenario = side_result.scenario
    return text.model_title(catalog.load(scenario.model).title, scenario.weights, scenario.engine)


def same(result: AbResult) -> bool:
    """Whether A was compared with itself."""
    return result.a.scenario == result.b.scenario and not any(
        key == "python" or key.startswith("env.") for settings in result.asked.values() for key in settings
    )


def facets_of(result: AbResult) -> frozenset[Facets]:
    """What the page's filter knows a comparison by: it is shown whole or not at all."""
    return frozenset(
        Facets(
            model_title(side_result),
            side_result.scenario.engine,
            machine_of(result.environment, side_result.scenario.device),
            side_result.scenario.precision,
        )
        for side_result in result.sides.values()
    )
