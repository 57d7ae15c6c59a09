"""Warnings of a comparison: those of each side that concern the machine, and those of comparing."""

from __future__ import annotations

from bench_deepspeed.measure import warnings
from bench_deepspeed.measure.warnings import Finding

from . import estimate
from .records import SIDES, AbResult

OF_A_SIDE = ("first_call", "clocks", "throttling", "temperature", "shared_gpu", "busy_host", "recompiled")
"""Drift strikes both sides alike here, and each one's own interval is not what decides."""
IDLE_CPUS = 0.1
"""Of a CPU: a library's housekeeping stays far below, a thread that waits by spinning is at 1."""
MIN_PAIRS = 3
WIDE = 0.05


def check(result: AbResult) -> list[Finding]:
    """All warnings, those of a side with its name before them."""
    found = [
        Finding(finding.code, f"{side}: {finding.text}", finding.remedy)
        for side, of_side in result.sides.items()
        for finding in warnings.check(of_side)
        if finding.code in OF_A_SIDE
    ]
    return [*found, *filter(None, [_few(result), _wide(result), *(_not_idle(result, side) for side in SIDES)])]


def _few(result: AbResult) -> Finding | None:
    n = sum(bool(pair) for pair in estimate.log_ratios(result))
    if n == 0 or n >= MIN_PAIRS:
        return None
    text = f"{'1 pair' if n == 1 else f'{n} pairs'} of processes; wanted are {MIN_PAIRS}"
    return Finding("few_pairs", text, f"`--processes {MIN_PAIRS}` or more")


def _wide(result: AbResult) -> Finding | None:
    """The ratio's interval is wider than ± 5%."""
    logs = estimate.log_ratios(result)
    found = estimate.ratio(logs)
    if found is None or found.low is None or found.half_width <= WIDE:
        return None
    noise = estimate.noise(logs) if len(logs) >= MIN_PAIRS else None  # of fewer nobody can tell what varies
    parts = f"; the pairs differ by {noise.between:.1%}, their rounds explain {noise.within:.1%}" if noise else ""
    text = f"the ratio's interval is wide: ± {found.half_width:.1%}{parts}"
    return Finding("wide_interval", text, estimate.remedy(noise))


def _not_idle(result: AbResult, side: str) -> Finding | None:
    """A process that computes while it should wait takes from the other what it is compared by."""
    told = [r.idle_cpus[side] for pair in result.rounds for r in pair if r.idle_cpus[side] is not None]
    busy = [cpus for cpus in told if cpus > IDLE_CPUS]
    if not busy:
        return None
    text = (
        f"{side} kept up to {max(busy):.2f} CPUs busy while the other was timed, "
        f"more than {IDLE_CPUS} in {len(busy)} of {len(told)} rounds"
    )
    return Finding("not_idle", text, "measure each alone (`bench.sh run`), and compare their intervals")
