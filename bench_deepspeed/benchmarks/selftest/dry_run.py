"""`bench.sh selftest --dry_run`: what would be compared, fetched and written, and how long an earlier one took."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common.plan_lines import is_alike, say, say_needs, say_subject, say_time
from bench_deepspeed.measure.records import Scenario

from .records import FILE


def show(scenario: Scenario, options) -> int:
    """Print the plan. Touches nothing."""
    say_subject(scenario)
    say("measure", "an engine of known latency; then this engine, timed by the suite and by a bare loop, interleaved")
    say("", f"each part ends without a verdict after {options.budget} s")
    say_needs(options.models_dir, [scenario])
    files = options.output_dir.glob(f"selftest/*/{FILE}")
    say_time(files, is_alike(scenario), lambda saved: f"{saved.get('max_tokens')} tokens a generation")
    say("results", f"{options.output_dir}/selftest/<time>/: {FILE}, worker.log")
    return 0
