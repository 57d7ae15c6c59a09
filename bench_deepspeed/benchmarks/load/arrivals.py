"""When requests come and how long they are: seeded, so that two runs ask for the same."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench_deepspeed.core import user_files
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.measure.percentiles import needed

from .records import Request, Workload

P99_REQUESTS = 2 * needed(99)
"""Requests that follow one another are worth fewer independent ones: half of these would do."""

DIFFERENT_REQUESTS = 512
"""Lengths drawn before the first level; they are then repeated in order. The number is FastGen's."""
ARRIVALS = 5
"""A Poisson process has an arrival within so many of its mean gaps with a probability of 99.3%."""
TRACE_FIELDS = {"arrival_s": (int, float), "prompt_tokens": (int,), "output_tokens": (int,)}


def poisson(rate: float, seed: int, level: int = 0) -> Iterator[float]:
    """Arrival times in seconds of a Poisson process: the gaps are independent and exponential, of mean 1 ∕ rate.

    Each level draws its own: were they the same at every rate, all would be lucky or unlucky together.
    """
    import numpy

    rng, now = numpy.random.default_rng([seed, 1, level]), 0.0
    while True:
        now += float(rng.exponential(1.0 / rate))
        yield now


def seconds_for(count: int, rate: float) -> float:
    """Seconds in which so many requests of a Poisson process of that rate come, with a probability of 99%.

    (count + 2.33 √count + 3) ∕ rate: the normal approximation of the number that comes, and a little more.
    """
    return (count + 2.33 * math.sqrt(count) + 3) / rate


def lengths(workload: Workload, context_tokens: int, count: int) -> list[tuple[int, int]]:
    """(prompt tokens, output tokens) of each request.

    Both are normal with the standard deviation spread × mean, as in FastGen's published set-up (30%), rounded, at
    least 1; the output at most the context − 1, the prompt at most what the output leaves of it. Raises UsageError
    where the means themselves do not fit.
    """
    import numpy

    prompt, output = workload.prompt_tokens, workload.max_tokens
    if prompt + output > context_tokens:
        raise UsageError(
            f"{prompt} prompt tokens and {output} new ones do not fit the model's context of {context_tokens}: "
            "lower --prompt_tokens or --max_tokens"
        )
    rng = numpy.random.default_rng([workload.seed, 2])
    prompts = rng.normal(prompt, workload.spread * prompt, count)
    outputs = rng.normal(output, workload.spread * output, count)
    pairs = []
    for prompt_length, new in zip(prompts.round().astype(int), outputs.round().astype(int), strict=True):
        fitting = min(max(int(new), 1), context_tokens - 1)
        pairs.append((min(max(int(prompt_length), 1), context_tokens - fitting), fitting))
    return pairs


def open_loop(requests: Iterator[Request], times: Iterable[float]) -> Iterator[Request]:
    """The requests, each due at the next time."""
    for request, due_s in zip(requests, times, strict=False):
        yield dataclasses.replace(request, due_s=due_s)


def read_trace(path: Path) -> list[tuple[float, int, int]]:
    """A trace in the order of arrival, as (arrival in seconds after the first, prompt tokens, output tokens).

    Its entries are objects of JSON, one a line or in a list, or rows of CSV. Raises UsageError with the line.
    """
    file = user_files.read(path, "--trace")
    rows: list[tuple[float, int, int]] = []
    for entry in file.elements():
        problem, row = _trace_row(entry.value, as_text=file.format == "CSV")
        if row is not None and rows and row[0] < rows[-1][0]:
            problem = f"arrival_s {row[0]:g} is before the one above"
        if problem:
            raise file.error(entry.line, problem)
        rows.append(row)
    if len(rows) < 2 or rows[-1][0] <= rows[0][0]:
        raise UsageError(f"{file.named} has {len(rows)} arrivals over no time: it takes two that are apart")
    return [(arrival_s - rows[0][0], prompt, output) for arrival_s, prompt, output in rows]


def _trace_row(data: object, as_text: bool) -> tuple[str | None, tuple[float, int, int] | None]:
    """What is wrong with an entry, else its values. `as_text`: its numbers are texts, as in CSV."""
    if not isinstance(data, dict) or set(data) != set(TRACE_FIELDS):
        fields = f", not {', '.join(map(str, data))}"[:100] if isinstance(data, dict) else ""
        return f"{', '.join(TRACE_FIELDS)} are expected{fields}", None
    values = []
    for name, kinds in TRACE_FIELDS.items():
        value, least = _number(data[name]) if as_text else data[name], 0 if name == "arrival_s" else 1
        if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value < float("inf"):
            whole = "a number" if float in kinds else "a whole number"
            return f"{name} must be {whole}, {least} or more", None
        values.append(value)
    return None, tuple(values)


def _number(text: str) -> int | float | None:
    """The number that a text says; None where it says none."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return None


def p99_cost(rates: list[float], p99: bool) -> str:
    """What a 99th percentile costs at each rate, in words; with --p99 that is what will be taken."""
    times = ", ".join(f"{seconds_for(P99_REQUESTS, rate):.0f} s at {rate:g} requests/s" for rate in rates)
    need = f"a 99th percentile needs {needed(99)} independent requests, so {P99_REQUESTS} or more in a window"
    return f"{need}{times and ': '}{times}" + (
        "" if p99 else "; with --p99 the windows are as long, else none is shown"
    )
