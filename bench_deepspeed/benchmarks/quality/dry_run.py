"""`bench.sh quality --dry_run`: what would be asked, fetched and written, and how long an earlier check took."""

from __future__ import annotations

import dataclasses

from bench_deepspeed.benchmarks.common.plan_lines import say, say_needs, say_subject, say_time
from bench_deepspeed.measure.records import Scenario

from .flags import precisions_of, require_questions
from .records import FILE

REFERENCE = "float32"


def show(scenario: Scenario, options) -> int:
    """Print the plan. Touches nothing; raises UsageError as the check itself does."""
    require_questions(scenario, options)
    precisions = precisions_of(scenario, options)
    say_subject(scenario, ", ".join(precisions))
    where = options.reference_device or scenario.device
    say("measure", f"the answers to {options.questions}, against Transformers in float32 on {where} (computed once)")
    say("", "and, for the noise floor, another implementation of the same precision")
    reference = dataclasses.replace(scenario, engine="transformers", precision=REFERENCE)
    needed = [reference, *(dataclasses.replace(scenario, precision=precision) for precision in precisions)]
    say_needs(options.models_dir, needed)
    same = (scenario.model, scenario.engine, scenario.device)

    def alike(saved: dict) -> bool:
        return (saved.get("model", {}).get("name"), saved.get("engine"), saved.get("device")) == same

    say_time(options.output_dir.glob(f"{scenario.model}/*/{FILE}"), alike, _settings)
    say("results", f"{options.output_dir}/{scenario.model}/<time>/: {FILE}, quality.md, worker.log")
    return 0


def _settings(saved: dict) -> str:
    precisions = ", ".join(str(candidate.get("precision")) for candidate in saved.get("candidates", []))
    return f"{len(saved.get('questions', []))} questions in {precisions}"
