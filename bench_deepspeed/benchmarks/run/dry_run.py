"""`--dry_run`: what a run would do, fetch and write, how large that is, and how long an earlier one took."""

from __future__ import annotations

from functools import partial

from bench_deepspeed.benchmarks.common.plan_lines import is_alike, say, say_needs, say_subject, say_time
from bench_deepspeed.core.text import counted
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.measure.stopping import FEWEST

from . import quality_check

SIZE = ("processes", "repetitions", "max_tokens")


def show(scenario: Scenario, options) -> int:
    """Print the plan. Touches nothing; raises UsageError as the run itself does."""
    with_quality = quality_check.is_wanted(scenario, options)
    say_subject(scenario)
    _say_measured(scenario)
    if with_quality:
        say("quality", f"the answers to {options.questions} against float32, cached next to the weights")
    say_needs(options.models_dir, [scenario])
    say_time(
        options.output_dir.glob(f"{scenario.model}/*/result.json"), is_alike(scenario), partial(_settings, scenario)
    )
    files = ["result.json", *([] if options.log_file else ["performance.log"]), "worker.log"]
    files += [*([] if scenario.quick else ["profile.*"]), *(["quality.*"] if with_quality else [])]
    say("results", f"{options.output_dir}/{scenario.model}/<time>/: {', '.join(files)}")
    if options.log_file:
        say("log", f"appended to {options.log_file}")
    return 0


def _say_measured(scenario: Scenario) -> None:
    warm_ups = "warm-ups until steady" if scenario.warmups is None else counted(scenario.warmups, "warm-up")
    say(
        "measure",
        f"{counted(scenario.processes, 'process')}, each: {warm_ups}, then "
        f"{counted(scenario.repetitions, 'repetition')} of {counted(scenario.max_tokens, 'token')}",
    )
    if scenario.target_ci is not None:
        say(
            "",
            f"further processes until the interval is within ± {scenario.target_ci:.2%}, "
            f"started for {scenario.time_budget_s:.0f} s at most",
        )
    elif scenario.time_budget_s is not None and scenario.processes > FEWEST:
        say(
            "",
            f"{FEWEST} always; the others only if they start within {scenario.time_budget_s:.0f} s of the first",
        )
    if scenario.quick:
        say("", "and nothing else: no profile and no check of the answers")


def _settings(scenario: Scenario, saved: dict) -> str:
    """What an earlier run generated, and what this one generates, which takes longer in proportion."""
    settings = saved["scenario"]
    counts = [tuple(settings.get(name) for name in SIZE), tuple(getattr(scenario, name) for name in SIZE)]
    earlier, now = ("{} × {} repetitions of {} tokens".format(*count) for count in counts)
    return earlier if counts[0] == counts[1] else f"{earlier} (here {now})"
