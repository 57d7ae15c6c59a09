"""What stands against comparing results, and what else differs between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from bench_deepspeed.measure.records import Result

SAME: dict[str, Callable[[Result], object]] = {
    "model": lambda result: result.scenario.model,
    "weights": lambda result: result.scenario.weights,
    "seed of the weights": lambda result: result.scenario.seed if result.scenario.weights == "random" else None,
    "digest of the weights": lambda result: result.model.get("digest"),
    "device": lambda result: result.scenario.device,
    "ranks": lambda result: result.scenario.tensor_parallel,
    "prompt tokens": lambda result: sorted({sample.prompt_tokens for sample in result.valid_samples}),
    "max_tokens": lambda result: result.scenario.max_tokens,
}
"""What must be the same in all: the work that was timed, and the kind of device that did it."""


def obstacles(paths: list[Path], results: list[Result]) -> list[str]:
    """Why these results are not comparable, one reason each: unfinished ones, then what is not the same."""
    reasons = [f"{path}: {reason}" for path, result in zip(paths, results, strict=True) for reason in _unfit(result)]
    for what, value_of in SAME.items():
        values = [value_of(result) for result in results]
        if any(value != values[0] for value in values):
            of_each = ", ".join(f"{_words(value)} in {path}" for path, value in zip(paths, values, strict=True))
            reasons.append(f"{what}: {of_each}")
    return reasons


def _unfit(result: Result) -> Iterator[str]:
    if result.status != "complete":
        yield f"its status is {result.status!r}"
    if not result.valid_samples:
        yield "it has no valid repetition"


def _words(value) -> str:
    """Short enough for a line: the beginning of a digest identifies it."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text[:12] if value is not None and text else "none"


def differences(results: list[Result]) -> dict[str, list]:
    """Setting or fact of the environment → its value in each result, of those that are not alike in all.

    None where a result does not have it. Named as in the JSON, with a dot before what is further down.
    """
    rows: dict[str, list] = {}
    for sections in zip(*map(_sections, results), strict=True):
        for name in dict.fromkeys(name for facts in sections for name in facts):
            rows[name] = [facts.get(name) for facts in sections]
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}


def _sections(result: Result) -> tuple[dict, dict, dict]:
    """Settings, how the engine was set up, and the environment."""
    settings = {"started_at": result.started_at, **dataclasses.asdict(result.scenario)}
    facts = {name: value for name, value in result.environment.facts.items() if name != "command"}  # it is the settings
    return settings, dict(_flat("engine.", result.engine.facts)), dict(_flat("", facts))


def _flat(prefix: str, facts: dict) -> Iterator[tuple[str, object]]:
    """Nested facts by their path; of a list of alike ones, such as GPUs, the values of each."""
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield from ((f"{prefix}{name}.{key}", ", ".join(str(item.get(key)) for item in value)) for key in value[0])
        else:
            yield prefix + name, value
