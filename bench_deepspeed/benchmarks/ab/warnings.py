"""Warnings of a comparison: those of each side that concern the machine, and those of comparing."""

from __future__ import annotations

from bench_deepspeed.measure import warnings
from bench_deepspeed.measure.power import MIN_PAIRS
from bench_deepspeed.measure.warnings import Finding

from . import estimate
from .records import SIDES, AbResult

SIDE_CODES = ("first_call", "clocks", "throttling", "temperature", "shared_gpu", "busy_host", "slow_host", "recompiled")
SIDE_CODES += ("not_checked",)
"""Codes of the warnings of one side. Drift affects both sides equally, and the verdict does not use each side's own
interval."""
IDLE_CPUS = 0.1
"""Of a CPU: background work of a library stays far below; a thread that waits by spinning uses 1."""
WIDE_HALF_WIDTH = 0.05


def check(result: AbResult) -> list[Finding]:
    """All warnings, those of a side with its name before them."""
    findings = [
        Finding(finding.code, f"{side}: {finding.text}", finding.remedy)
        for side, side_result in result.sides.items()
        for finding in warnings.check(side_result)
        if finding.code in SIDE_CODES
    ]
    return [*findings, *filter(None, [_few(result), _wide(result), *(_not_idle(result, side) for side in SIDES)])]


def _few(result: AbResult) -> Finding | None:
    n = sum(bool(pair) for pair in estimate.log_ratios(result))
    if n == 0 or n >= MIN_PAIRS:
        return None
    text = f"{'1 pair' if n == 1 else f'{n} pairs'} of processes; wanted are {MIN_PAIRS}"
    return Finding("few_pairs", text, f"`--processes {MIN_PAIRS}` or more")


def _wide(result: AbResult) -> Finding | None:
    """The ratio's interval is wider than ± 5%."""
    logs = estimate.log_ratios(result)
    ratio = estimate.ratio(logs)
    if ratio is None or ratio.low is None or ratio.half_width <= WIDE_HALF_WIDTH:
        return None
    spread = estimate.log_spread(logs) if len(logs) >= MIN_PAIRS else None  # fewer do not show what varies
    parts = f"; the pairs differ by {spread.between:.1%}, their rounds explain {spread.within:.1%}" if spread else ""
    text = f"the ratio's interval is wide: ± {ratio.half_width:.1%}{parts}"
    return Finding("wide_interval", text, estimate.remedy(spread))


def _not_idle(result: AbResult, side: str) -> Finding | None:
    """A process that computes while it should wait slows down the other side, which biases the ratio."""
    readings = [r.idle_cpus[side] for pair in result.rounds for r in pair if r.idle_cpus[side] is not None]
    busy = [cpus for cpus in readings if cpus > IDLE_CPUS]
    if not busy:
        return None
    text = (
        f"{side} kept up to {max(busy):.2f} CPUs busy while the other was timed, "
        f"more than {IDLE_CPUS} in {len(busy)} of {len(readings)} rounds"
    )
    return Finding("not_idle", text, "measure each alone (`bench.sh run`), and compare their intervals")
