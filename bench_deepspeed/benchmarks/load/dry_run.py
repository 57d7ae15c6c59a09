"""`bench.sh load --dry_run`: the levels, what would be fetched and written, and how long they take at least."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.plan_lines import is_alike, say, say_needs, say_subject, say_time
from bench_deepspeed.benchmarks.load.targets import target_class
from bench_deepspeed.core.text import counted
from bench_deepspeed.measure.records import Scenario

from .arrivals import p99_cost
from .flags import APIS, levels_of
from .objective import cost
from .records import FILE, SUBFOLDER, level_name
from .search import FACTOR, FIRST, MOST_LEVELS, PRECISION
from .workload import workload_of


def show(scenario: Scenario, options) -> int:
    """Print the plan. Touches nothing; raises UsageError as the load test itself does."""
    workload = workload_of(scenario, options)
    target, device = target_class(options.target), scenario.device
    if options.url:
        say("server", f"{options.url}, {options.api or APIS[0]}, {options.served_model or 'the first model it lists'}")
    else:
        say_subject(scenario)
    say("target", f"{target.name}: {target.summary}")
    seconds = workload.seconds
    if options.slo:
        _say_search(options, seconds)
    else:
        levels = levels_of(options, device)
        names = [level_name(clients, rate) for clients, rate in levels]
        say("measure", f"{counted(len(levels), 'level')}: {', '.join(names)}")
    if not options.trace and not options.slo:
        say("", f"each for a window of {seconds:g} s, after its warm-up: {len(levels) * seconds:.0f} s at least")
        say("", p99_cost(options.rates or [], options.p99, workload.burstiness))
    if workload.prompt_tokens:
        unit = " words" if options.url and not options.tokenizer else ""
        say("", f"requests of {workload.prompt_tokens}{unit} + {workload.max_tokens} tokens")
    say_needs(options.models_dir, [] if options.url else [scenario])
    files = options.output_dir.glob(f"{scenario.model}/{SUBFOLDER}/*/{FILE}")
    say_time(files, is_alike(scenario), lambda saved: counted(len(saved.get("levels", [])), "level"))
    say("results", f"{options.output_dir}/{scenario.model}/{SUBFOLDER}/<time>/: {FILE}, load.svg, load.png, worker.log")
    return 0


def _say_search(options, seconds: float) -> None:
    first = f"{options.rates[0]:g} requests/s" if options.rates else f"{FIRST:g} requests in the time of one alone"
    say("measure", f"the highest rate that attains {options.slo.text}, up to {MOST_LEVELS} levels")
    say("", f"from {first}, up or down by {FACTOR:g} times, then to within {PRECISION - 1:.0%}")
    say("", f"each for a window of {seconds:g} s at least; {cost(options.slo)}")
