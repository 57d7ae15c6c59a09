"""What a load test is of: a scenario of this suite, or a server that somebody else has started."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common import scenario
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.text import AS_SERVED, REMOTE
from bench_deepspeed.engines import engine_class
from bench_deepspeed.measure.records import Scenario

from .flags import APIS
from .targets import OPENAI
from .targets.base import Server


def scenario_of(options) -> Scenario:
    """The scenario that the flags describe.

    Raises UsageError and MachineError as `scenario.scenario_of` does, UsageError for an engine that does not stream.
    """
    if options.target != OPENAI:
        made = scenario.scenario_of(options)
        if made.tensor_parallel > 1 and engine_class(made.engine).streams_in_own_process:
            raise UsageError(f"--tensor_parallel: {made.engine} streams on one rank alone: use --engine deepspeed")
        return made
    settings = {name: getattr(options, name) for name in ("prompt", "warmups", "processes", "repetitions", "seed")}
    max_tokens = options.max_tokens or 0
    return Scenario(OPENAI, OPENAI, REMOTE, AS_SERVED, AS_SERVED, max_tokens=max_tokens, **settings)


def server_of(options) -> Server | None:
    """The server that the flags name; None for a target that is started here."""
    if options.target != OPENAI:
        return None
    return Server(options.url, options.api or APIS[0], options.api_key_env, options.served_model)
