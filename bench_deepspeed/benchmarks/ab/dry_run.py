"""`bench.sh ab --dry_run`: both configurations, whether they fit at once, and what there is to do. Touches nothing."""

from __future__ import annotations

from bench_deepspeed import weights
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped
from bench_deepspeed.machine import environment
from bench_deepspeed.model import catalog
from bench_deepspeed.weights.needed import want_of

from .plan import Plan, fits, refusal


def show(plan: Plan, options) -> int:
    """Print the plan."""
    for name, side in plan.sides.items():
        s = side.scenario
        also = [f"in {side.python}"] * bool(side.python) + side.shown_variables
        where = f"{s.engine} on {s.device} in {s.precision}"
        _say(f"{name}        {', '.join([where, catalog.load(s.model).title, f'{s.weights} weights', *also])}")
    s = plan.sides["A"].scenario
    warm_ups = "warm-ups until steady" if s.warmups is None else f"{s.warmups} warm-ups"
    _say(f"measure  {s.processes} pairs of processes, each: {warm_ups}, then {s.repetitions} rounds")
    _say(f"         in each, A and B generate {s.max_tokens} tokens, in an order that is drawn (seed {s.seed})")
    _say(f"power    {plan.power}")
    free_bytes = environment.free_memory_bytes(plan.device)
    _say(f"memory   {fits(plan, free_bytes)}")
    if reason := refusal(plan, free_bytes):
        _say(f"         would be refused: {reason}")
    for text in dict.fromkeys(_weights(plan, options)):
        _say(f"weights  {text}")
    _say(f"results  {options.output_dir}/{s.model}/ab/<time>/: ab.json, ab.log, ab.md, worker-a.log, worker-b.log")
    return 0


def _say(text: str) -> None:
    print(wrapped(text, columns(), 9 * " "))


def _weights(plan: Plan, options) -> list[str]:
    texts = []
    for side in plan.sides.values():
        spec, want = catalog.load(side.scenario.model), want_of(side.scenario)
        steps = weights.plan(options.models_dir, spec, want) if want else []
        texts += [f"{step.action}, in {step.folder}" for step in steps]
        if want and not steps:
            texts.append(f"ready in {weights.final_folder(options.models_dir, spec, want)}")
    return texts
