"""What a load test sends, from its flags and files. Imports the standard library alone."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.scenario import require_context
from bench_deepspeed.core.text import REMOTE
from bench_deepspeed.measure.records import Scenario

from . import conversations, traces
from .arrivals import P99_REQUESTS
from .flags import MAX_TOKENS, PROMPT_TOKENS, SECONDS
from .objective import requests_for
from .records import Workload


def workload_of(scenario: Scenario, options) -> Workload:
    """What is sent, with the device's defaults.

    Raises UsageError for a file that is malformed, with its line, and for requests that the context cannot hold.
    """
    trace = traces.read(options.trace, options.seconds) if options.trace else None
    prompts = conversations.read(options.prompts) if options.prompts else None
    answers = prompts.answers if prompts and not options.max_tokens else None
    device = scenario.device
    workload = Workload(
        prompt_tokens=None if trace or prompts else options.prompt_tokens or PROMPT_TOKENS[device],
        max_tokens=None if trace or answers else options.max_tokens or MAX_TOKENS[device],
        spread=options.spread,
        seconds=options.seconds or SECONDS[device],
        timeout_s=options.timeout,
        seed=scenario.seed,
        trace=trace and trace.rows,
        prompts=prompts and prompts.prompts,
        requests=requests_for(options.slo) if options.slo else P99_REQUESTS if options.p99 else 0,
        shared_prefix=options.shared_prefix or 0,
        trace_format=trace and trace.format,
        trace_left_out=trace.left_out if trace else 0,
        trace_blocks=trace and trace.blocks,
        answers=answers,
        recorded=bool(answers or (trace and trace.format != traces.OWN)),
        burstiness=options.burstiness or 1.0,
        ramp_s=options.ramp or 0.0,
    )
    if device == REMOTE:
        return workload  # what its context is, the server knows
    longest = workload.shared_prefix + (workload.prompt_tokens or 1), workload.max_tokens or 1
    chosen = () if workload.recorded else workload.trace or ()
    for prompt_tokens, new_tokens in [longest, *((prompt, new) for _, prompt, new in chosen)]:
        require_context(scenario.model, scenario.engine, prompt_tokens, new_tokens)
    return workload
