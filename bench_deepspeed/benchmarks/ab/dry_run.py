"""`bench.sh ab --dry_run`: both configurations, whether they fit at once, and what there is to do. Touches nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench_deepspeed.benchmarks.common.plan_lines import is_alike, say, say_needs, say_time
from bench_deepspeed.core.text import counted, engine_title
from bench_deepspeed.machine import environment
from bench_deepspeed.model import catalog

from .plan import Plan, fits, refusal
from .records import FILE, SUBFOLDER


def show(plan: Plan, options) -> int:
    """Print the plan. Raises MachineError where a named Python cannot run a worker."""
    plan.require_packages()
    for name, side in plan.sides.items():
        s = side.scenario
        also = [f"in {side.python}"] * bool(side.python) + side.shown_variables
        where = f"{engine_title(s.engine, s.tensor_parallel)} on {s.device} in {s.precision}"
        say(name, ", ".join([where, catalog.load(s.model).title, f"{s.weights} weights", *also]))
    s = plan.sides["A"].scenario
    warm_ups = "warm-ups until steady" if s.warmups is None else counted(s.warmups, "warm-up")
    say("measure", f"{counted(s.processes, 'pair')} of processes, each: {warm_ups}, then {s.repetitions} rounds")
    say("", f"in each, A and B generate {s.max_tokens} tokens, in a random order (seed {s.seed})")
    say("power", str(plan.power))
    free_bytes = environment.free_memory_bytes(plan.device)
    say("memory", fits(plan, free_bytes))
    if reason := refusal(plan, free_bytes):
        say("", f"would be refused: {reason}")
    say_needs(options.models_dir, [side.scenario for side in plan.sides.values()])
    place = options.output_dir / s.model / SUBFOLDER
    say_time(place.glob(f"*/{FILE}"), partial(_is_alike, plan), _settings)
    say("results", f"{place}/<time>/: {FILE}, ab.log, ab.md, worker-a.log, worker-b.log")
    return 0


def _is_alike(plan: Plan, saved: dict[str, Any]) -> bool:
    """Whether a saved comparison is of the same two models, engines, precisions and weights."""
    return all(is_alike(side.scenario)(saved.get(name.lower(), {})) for name, side in plan.sides.items())


def _settings(saved: dict[str, Any]) -> str:
    settings = saved["a"]["scenario"]
    pairs, rounds, tokens = (settings.get(name) for name in ("processes", "repetitions", "max_tokens"))
    return f"{pairs} pairs × {rounds} rounds of {tokens} tokens"
