"""What a load test sends, from its flags and files. Imports the standard library alone."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.benchmarks.common.scenario import require_context
from bench_deepspeed.core.text import REMOTE
from bench_deepspeed.measure.records import Scenario

from .arrivals import P99_REQUESTS, read_trace
from .flags import MAX_TOKENS, PROMPT_TOKENS, SECONDS
from .objective import requests_for
from .records import Workload


def workload_of(scenario: Scenario, options) -> Workload:
    """What is sent, with the device's defaults.

    Raises UsageError for a file that is malformed, with its line, and for requests that the context cannot hold.
    """
    trace = read_trace(options.trace) if options.trace else None
    prompts = questions.load(options.prompts, "--prompts").prompts if options.prompts else None
    from_file = trace is not None or prompts is not None
    device = scenario.device
    workload = Workload(
        prompt_tokens=None if from_file else options.prompt_tokens or PROMPT_TOKENS[device],
        max_tokens=None if trace else options.max_tokens or MAX_TOKENS[device],
        spread=options.spread,
        seconds=options.seconds or SECONDS[device],
        timeout_s=options.timeout,
        seed=scenario.seed,
        trace=trace,
        prompts=prompts,
        requests=requests_for(options.slo) if options.slo else P99_REQUESTS if options.p99 else 0,
    )
    if device == REMOTE:
        return workload  # what its context is, the server knows
    for prompt_tokens, new_tokens in [(workload.prompt_tokens or 1, workload.max_tokens or 1), *_lengths(trace)]:
        require_context(scenario.model, scenario.engine, prompt_tokens, new_tokens)
    return workload


def _lengths(trace: list[tuple[float, int, int]] | None) -> list[tuple[int, int]]:
    return [(prompt, new) for _, prompt, new in trace or ()]
