"""When requests come and how long they are: seeded, so that two runs ask for the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator

from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.measure.percentiles import needed

from .records import Request, Workload

P99_REQUESTS = 2 * needed(99)
"""Requests that follow one another are worth fewer independent ones: half of these would do."""

DIFFERENT_REQUESTS = 512
"""Lengths drawn before the first level; they are then repeated in order. The number is FastGen's."""
ARRIVALS = 5
"""A Poisson process has an arrival within so many of its mean gaps with a probability of 99.3%."""


def arrivals(rate: float, seed: int, level: int = 0, burstiness: float = 1.0, ramp_s: float = 0.0) -> Iterator[float]:
    """Arrival times in seconds, whose gaps are independent and gamma distributed: of mean 1 ∕ rate and that shape.

    A shape of 1 is a Poisson process; the standard deviation of the gaps is their mean ∕ √shape, so below 1 requests
    come in bursts. For the first `ramp_s` the rate rises from zero, as rate · t ∕ ramp_s: the expected number of
    arrivals until t is then rate · t² ∕ (2 ramp_s), and the times are those at which it is what it would be without.

    Each level draws its own: were they the same at every rate, all would be lucky or unlucky together.
    """
    import numpy

    rng, steady_s = numpy.random.default_rng([seed, 1, level]), 0.0
    while True:
        steady_s += float(rng.gamma(burstiness, 1.0 / (burstiness * rate)))
        yield math.sqrt(2 * ramp_s * steady_s) if 2 * steady_s < ramp_s else steady_s + ramp_s / 2


def seconds_for(count: int, rate: float, burstiness: float = 1.0) -> float:
    """Seconds in which so many requests of that rate and shape of the gaps come, with a probability of 99%.

    (count + 2.33 √(count ∕ shape) + 3) ∕ rate: the normal approximation of the number that comes, and a little more.
    """
    return (count + 2.33 * math.sqrt(count / burstiness) + 3) / rate


def lengths(workload: Workload, context_tokens: int, count: int) -> list[tuple[int, int]]:
    """(prompt tokens, output tokens) of each request; the prompt without those that it shares with all others.

    Both are normal with the standard deviation spread × mean, as in FastGen's published set-up (30%), rounded, at
    least 1; the output at most the context − 1, the prompt at most what the output leaves of it. Raises UsageError
    where the means themselves do not fit.
    """
    import numpy

    prompt, output, shared = workload.prompt_tokens, workload.max_tokens, workload.shared_prefix
    if shared + prompt + output > context_tokens:
        raise UsageError(
            f"{shared + prompt} prompt tokens and {output} new ones do not fit the model's context of "
            f"{context_tokens}: lower --prompt_tokens or --max_tokens"
        )
    rng = numpy.random.default_rng([workload.seed, 2])
    prompts = rng.normal(prompt, workload.spread * prompt, count)
    outputs = rng.normal(output, workload.spread * output, count)
    pairs = []
    for prompt_length, new in zip(prompts.round().astype(int), outputs.round().astype(int), strict=True):
        fitting = min(max(int(new), 1), context_tokens - shared - 1)
        pairs.append((min(max(int(prompt_length), 1), context_tokens - shared - fitting), fitting))
    return pairs


def open_loop(requests: Iterator[Request], times: Iterable[float]) -> Iterator[Request]:
    """The requests, each due at the next time."""
    for request, due_s in zip(requests, times, strict=False):
        yield dataclasses.replace(request, due_s=due_s)


def p99_cost(rates: list[float], p99: bool, burstiness: float = 1.0) -> str:
    """What a 99th percentile costs at each rate, in words; with --p99 that is what will be taken."""
    times = ", ".join(f"{seconds_for(P99_REQUESTS, rate, burstiness):.0f} s at {rate:g} requests/s" for rate in rates)
    need = f"a 99th percentile needs {needed(99)} independent requests, so {P99_REQUESTS} or more in a window"
    return f"{need}{times and ': '}{times}" + (
        "" if p99 else "; with --p99 the windows are as long, else none is shown"
    )
