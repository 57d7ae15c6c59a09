"""`--dry_run`: what a run would do, fetch and write, and how large."""

from __future__ import annotations

from bench_deepspeed import weights
from bench_deepspeed.core.paths import VENV
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import counted, wrapped
from bench_deepspeed.core.units import gigabytes
from bench_deepspeed.machine.environment import gpus
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.measure.stopping import FEWEST
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import store
from bench_deepspeed.weights.needed import can_check, want_of


def show(scenario: Scenario, options) -> int:
    """Print the plan. Touches nothing."""
    spec = catalog.load(scenario.model)
    want = want_of(scenario)
    steps = weights.plan(options.models_dir, spec, want) if want else []
    _say(f"model       {spec.title}: {spec.parameters:,} parameters, {spec.licence}")
    _say(f"engine      {scenario.engine} on {scenario.device} in {scenario.precision}, {scenario.weights} weights")
    if scenario.device == "cuda" and not gpus():
        _say("machine     no GPU here: the run itself would be refused")
    warm_ups = "warm-ups until steady" if scenario.warmups is None else counted(scenario.warmups, "warm-up")
    _say(
        f"measure     {counted(scenario.processes, 'process')}, each: {warm_ups}, then "
        f"{counted(scenario.repetitions, 'repetition')} of {counted(scenario.max_tokens, 'token')}"
    )
    if scenario.target_ci is not None:
        _say(
            f"            further processes until the interval is within ± {scenario.target_ci:.2%}, "
            f"started for {scenario.time_budget_s:.0f} s at most"
        )
    elif scenario.time_budget_s is not None and scenario.processes > FEWEST:
        _say(
            f"            {FEWEST} in any case, the others if they are started within {scenario.time_budget_s:.0f} s "
            "of the first"
        )
    if scenario.quick:
        _say("            and nothing else: neither what holds the speed back nor the answers")
    with_quality = can_check(scenario) and not options.no_quality and not scenario.quick
    if with_quality:
        _say(f"quality     the answers to {options.questions} against float32, cached next to the weights")
    if not (VENV / ".installed").exists():
        _say(f"environment install requirements.txt into {VENV} (several GB with torch's CUDA build)")
    for step in steps:
        download, write = gigabytes(step.download_bytes), gigabytes(step.write_bytes)
        _say(f"weights     {step.action}: download {download}, write {write}")
        _say(f"            in {step.folder}" + (f" (again: {step.damage})" if step.damage else ""))
    if want and not steps:
        _say(f"weights     ready in {weights.final_folder(options.models_dir, spec, want)}")
    needed = sum(step.write_bytes for step in steps)
    free = store.free_disk_bytes(options.models_dir.absolute())
    _say(f"disk        {gigabytes(needed)} needed, {gigabytes(free)} free")
    files = ["result.json", *([] if options.log_file else ["performance.log"]), "worker.log"]
    files += [*([] if scenario.quick else ["profile.*"]), *(["quality.*"] if with_quality else [])]
    _say(f"results     {options.output_dir}/{scenario.model}/<time>/: {', '.join(files)}")
    if options.log_file:
        _say(f"log         appended to {options.log_file}")
    return 0


def _say(text: str) -> None:
    print(wrapped(text, columns(), 12 * " "))
