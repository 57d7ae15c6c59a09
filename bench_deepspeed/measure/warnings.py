"""Warnings: what a reader must know before using a result, and what to do about it.

Each check reads a result, not the machine, and returns a warning or none. A warning that
appears with every result is soon ignored: the statistical checks are set so that each warns
of less than one in twenty results without a fault, which a test simulates.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .records import Reading, Result
from .speed import process_speeds, speed_interval
from .statistics import MIN_ORDERED, bimodality, combined_p, neighbours_alike_p, outliers, trend

DRIFT_P = 0.02
DRIFT_SIZE = 0.015
ACROSS_P = 0.02
OUTLIER_LIMIT = 5.0
"""Of the modified z-score. At the usual 3.5 too many results of normal values would have an outlier."""
BIMODALITY_P = 0.05
POOL = 10
"""Outliers and modes are looked for in this many repetitions or more: fewer have no shape."""
INTERVAL_LIMIT = 0.05
CLOCK_RANGE = 0.03
"""Boost clocks move in steps of less than 1% by themselves; beyond 3% they explain a difference in speed."""
SLOWDOWN_MARGIN_C = 5
BUSY_SHARE, BUSY_CPUS = 0.1, 0.5
"""A step of decoding waits for one thread of the host: half a CPU's work elsewhere can already delay it."""
HOST_SLOWER = 1.2
"""Times the run's median: the loop of an idle machine varies by less."""
_KEPT = "_findings"
STREAMED_RANGE = 0.1
"""Streaming has work of its own: handing each token over, and turning it into text alone."""
MIN_PROCESSES, MIN_REPETITIONS = 3, 5
"""Of two processes the interval is ± 12.7 standard errors, of three ± 4.3 (Student's t)."""
FIRST_SLOWER = 0.1
RARE_PROCESSES, RARE_REPETITIONS = 0.1, 0.02
"""Shares of processes, and of repetitions: a state with such a share should occur in a run with probability `SEEN`."""
SEEN = 0.95


TOO_FEW = frozenset({"wide_interval", "no_interval", "few_samples", "rare_states"})
"""Codes of the warnings that more processes or repetitions remedy."""
TO_ITS_END = "the run was interrupted: let it reach its end"


@dataclass(frozen=True)
class Finding:
    """One warning: its code, the fault with its values, and what to do about it."""

    code: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Rule:
    """A check by its code: `check` returns the fault in words, or None."""

    code: str
    check: Callable[[Result], str | None]
    remedy: str


def check(result: Result) -> list[Finding]:
    """All warnings of a result, in the order of the table.

    They are computed once for what it holds and kept with it: log, table, chart and file ask for them one by one.
    """
    passes = (result.status, result.limits, result.latency is None)
    held = (*passes, *((len(run.warmups), len(run.samples), run.audit is None) for run in result.runs))
    kept = vars(result).get(_KEPT)
    if kept is None or kept[0] != held:
        kept = held, [Finding(rule.code, text, _remedy(rule, result)) for rule in RULES if (text := rule.check(result))]
        vars(result)[_KEPT] = kept
    return list(kept[1])


def _remedy(rule: Rule, result: Result) -> str:
    return TO_ITS_END if rule.code in TOO_FEW and _interrupted(result) else rule.remedy


def _interrupted(result: Result) -> bool:
    """Whether passes and processes that were requested have not run, which no flag remedies."""
    return result.status == "interrupted"


def _drift(result: Result) -> str | None:
    """A trend within processes, and one that matters.

    p-values of Spearman's correlation with the order, one a process, combined by Fisher's method (R. A.
    Fisher, 1932); below 0.02, and more than 1.5% in some process from its first third to its last.
    """
    series = [speeds for speeds in process_speeds(result) if len(speeds) >= MIN_REPETITIONS]
    if not series:
        return None
    p = combined_p([_trend_p(speeds) for speeds in series])
    ends = [(statistics.fmean(s[: len(s) // 3]), statistics.fmean(s[-(len(s) // 3) :])) for s in series]
    changes = [last / first - 1 for first, last in ends]
    (first, last), most = max(zip(ends, changes, strict=True), key=lambda pair: abs(pair[1]))
    if p >= DRIFT_P or abs(most) <= DRIFT_SIZE:
        return None
    return (
        f"the speed drifts within processes: from the first third of one to its last by "
        f"{statistics.fmean(changes):+.1%} on average, at most from {first:.1f} to {last:.1f} tokens/s "
        f"({most:+.1%}); p = {p:.2g}"
    )


def _trend_p(speeds: list[float]) -> float:
    """The p-value of no trend, not below what so many values in perfect order come to by chance: 2 ∕ n!."""
    series_trend = trend(speeds)
    return 1.0 if series_trend is None else max(series_trend.p, 2 / math.factorial(len(speeds)))


def _drift_across(result: Result) -> str | None:
    """Processes one after the other that are alike; see `neighbours_alike_p`. What changes so slowly is the machine."""
    means = [statistics.fmean(speeds) for speeds in process_speeds(result) if speeds]
    p = neighbours_alike_p(means)
    if p is None or p >= ACROSS_P:
        return None
    degrees = [r.temperature_c for r in _readings(result) if r.temperature_c is not None]
    heat = f", the GPU from {degrees[0]} to {degrees[-1]} °C" if degrees else ""
    return (
        f"processes that follow each other are alike (p = {p:.2g}): from {means[0]:.1f} tokens/s in the first of "
        f"{len(means)} to {means[-1]:.1f} in the last, between {min(means):.1f} and {max(means):.1f}{heat}"
    )


def _outliers(result: Result) -> str | None:
    """Modified z-scores above 5 among the relative deviations of all repetitions from their process's mean."""
    places = [(p, r, x) for p, speeds in enumerate(process_speeds(result), 1) for r, x in enumerate(speeds, 1)]
    deviations = _deviations(result)
    if len(deviations) < POOL:
        return None
    far = outliers(deviations, OUTLIER_LIMIT)
    if not far:
        return None
    farthest = max(far, key=lambda index: abs(deviations[index]))
    process, repetition, speed = places[farthest]
    return (
        f"{len(far)} of {_repetitions(len(deviations))} lie far from the others; the farthest: {speed:.1f} tokens/s "
        f"({deviations[farthest]:+.1%}), repetition {repetition} of process {process}"
    )


def _bimodality(result: Result) -> str | None:
    """Hartigan's dip test, p below 0.05, of the relative deviations from each process's mean."""
    deviations = _deviations(result)
    p = bimodality(deviations) if len(deviations) >= POOL else None
    if p is None or p >= BIMODALITY_P:
        return None
    return (
        f"the speeds within processes gather around more than one value, between {min(deviations):+.1%} and "
        f"{max(deviations):+.1%} of their mean (dip test: p = {p:.2g})"
    )


def _deviations(result: Result) -> list[float]:
    """Each repetition's speed ∕ the mean of its process − 1: what processes differ by is in the interval."""
    return [x / statistics.fmean(speeds) - 1 for speeds in process_speeds(result) for x in speeds]


def _wide_interval(result: Result) -> str | None:
    interval = speed_interval(result)
    if interval is None or interval.relative is None or interval.relative <= INTERVAL_LIMIT:
        return None
    return (
        f"the 95% interval of the mean is wide: {interval.low:.1f} … {interval.high:.1f} tokens/s "
        f"(± {interval.relative:.1%})"
    )


def _no_interval(result: Result) -> str | None:
    if len(_measured(result)) != 1:
        return None
    return "one process was measured: how much another would differ is not known"


def _few(result: Result) -> str | None:
    counts = _measured(result)
    if not counts or (len(counts) >= MIN_PROCESSES and min(counts) >= MIN_REPETITIONS):
        return None
    processes = "1 process" if len(counts) == 1 else f"{len(counts)} processes"
    return (
        f"{processes} with {min(counts)} valid repetitions at least; wanted are {MIN_PROCESSES} with {MIN_REPETITIONS}"
    )


def _rare_states(result: Result) -> str | None:
    """The numbers alone: of n, a state whose share is p shows in none with the probability (1 − p)ⁿ."""
    counts = _measured(result)
    if len(counts) < 2:
        return None
    processes, repetitions = len(counts), sum(counts)
    of_processes, of_repetitions = (1 - (1 - SEEN) ** (1 / n) for n in (processes, repetitions))
    if of_processes <= RARE_PROCESSES and of_repetitions <= RARE_REPETITIONS:
        return None
    slowly = "" if processes >= MIN_ORDERED else ", and do not show changes from one process to the next"
    return (
        f"{processes} processes with {repetitions} repetitions miss, with a probability of more than {1 - SEEN:.0%}, a "
        f"slow state of less than {of_processes:.0%} of processes or {of_repetitions:.1%} of generations{slowly}: the "
        "interval covers only the states that occurred"
    )


def _measured(result: Result) -> list[int]:
    """Valid repetitions of each process that has any."""
    return [len(speeds) for speeds in process_speeds(result) if speeds]


def _first_call(result: Result) -> str | None:
    """Warm-ups that did not suffice: they did not become steady, or the first repetition is slower than noise allows.

    Slower by more than 10% than the median of those after it, and an outlier among them.
    """
    slow = []
    for number, speeds in enumerate(process_speeds(result), 1):
        if len(speeds) < 2 or 0 not in outliers(speeds, OUTLIER_LIMIT):
            continue
        share = speeds[0] / statistics.median(speeds[1:])
        if share < 1 - FIRST_SLOWER:
            slow.append(f"the first repetition of process {number} is {1 - share:.0%} slower than those after it")
    unsteady = [str(number) for number, run in enumerate(result.runs, 1) if run.steady is False]
    if unsteady:
        slow.append(f"the warm-ups of process {', '.join(unsteady)} did not become steady")
    return "; ".join(slow) or None


def _clocks(result: Result) -> str | None:
    clocks = [r.sm_clock_mhz for r in _readings(result) if r.sm_clock_mhz is not None]
    if not clocks or (spread := (max(clocks) - min(clocks)) / statistics.median(clocks)) <= CLOCK_RANGE:
        return None
    return (
        f"the GPU's clock changed: {min(clocks)} to {max(clocks)} MHz after {_repetitions(len(clocks))} "
        f"({spread:.1%} of the median)"
    )


def _throttling(result: Result) -> str | None:
    known = [r.throttle_reasons for r in _readings(result) if r.throttle_reasons is not None]
    counts = Counter(reason for reasons in known for reason in reasons)
    if not counts:
        return None
    causes = ", ".join(f"{reason} after {n}" for reason, n in counts.most_common())
    return f"the GPU's clocks were held down: {causes} of {_repetitions(len(known))}"


def _temperature(result: Result) -> str | None:
    limit = result.environment.gpu_slowdown_c
    temperatures = [r.temperature_c for r in _readings(result) if r.temperature_c is not None]
    if limit is None or not temperatures or max(temperatures) < limit - SLOWDOWN_MARGIN_C:
        return None
    return f"the GPU reached {max(temperatures)} °C and slows itself down at {limit} °C"


def _shared_gpu(result: Result) -> str | None:
    others = [r.other_gpu_processes for r in _readings(result) if r.other_gpu_processes is not None]
    shared = [n for n in others if n]
    if not shared:
        return None
    return f"other processes were on the GPU, up to {max(shared)}, after {len(shared)} of {_repetitions(len(others))}"


def _busy_host(result: Result) -> str | None:
    """Others used more than half a CPU, or more than 10% of all CPUs, during a repetition."""
    cpus = result.environment.cpu_count
    limit = min(BUSY_CPUS, BUSY_SHARE * cpus) if cpus else BUSY_CPUS
    busy = [r.other_cpus_busy for r in _readings(result) if r.other_cpus_busy is not None]
    loaded = [share for share in busy if share > limit]
    if not loaded:
        return None
    total = f" of {cpus}" if cpus else ""
    return (
        f"other processes kept up to {max(loaded):.1f}{total} CPUs busy, "
        f"more than {limit:.1f} during {len(loaded)} of {_repetitions(len(busy))}"
    )


def _slow_host(result: Result) -> str | None:
    """Repetitions around which the host's loop took longer than the run's median by a factor."""
    loops = [statistics.fmean(sample.host_s) for sample in result.valid_samples if sample.host_s]
    if not loops:
        return None
    median = statistics.median(loops)
    slow = [loop for loop in loops if loop > HOST_SLOWER * median]
    if not slow:
        return None
    return (
        f"the host was slow around {len(slow)} of {_repetitions(len(loops))}: a fixed loop of Python took up to "
        f"{max(slow) / median:.2f} times the run's median of {1e3 * median:.2f} ms, more than {HOST_SLOWER} times there"
    )


def _recompiled(result: Result) -> str | None:
    """Whatever the engine compiles or records once more is in the time of the repetition."""
    known = [r.compilations for r in _readings(result) if r.compilations is not None]
    compiled = [count for count in known if count]
    if not compiled:
        return None
    repetitions = f"{len(compiled)} of {_repetitions(len(known))}"
    return f"the engine compiled its model, or recorded a graph of it, {sum(compiled)} times during {repetitions}"


def _readings(result: Result) -> list[Reading]:
    return [sample.reading.of_all for sample in result.valid_samples if sample.reading is not None]


def _no_limits(result: Result) -> str | None:
    if result.limits is not None or result.engine.reads_weights is False or _interrupted(result):
        return None
    return "the device's limits were not measured, so the gate has not checked the speed"


def _not_checked(result: Result) -> str | None:
    runs = result.runs[:-1] if _interrupted(result) else result.runs  # the last was not there yet
    unchecked = [str(number) for number, run in enumerate(runs, 1) if run.audit is None]
    if not unchecked or result.engine.reads_weights is False:
        return None
    return f"the timed answers of process {', '.join(unchecked)} were not compared with the model's logits"


def _streamed_apart(result: Result) -> str | None:
    """Generations that were streamed, one token timed after the other, and those that tokens/s is from."""
    seconds = [sample.seconds for sample in result.valid_samples]
    if not seconds or result.latency is None or result.latency.method != "streamed" or not result.latency.e2e_s:
        return None
    streamed_s, timed_s = statistics.median(result.latency.e2e_s), statistics.median(seconds)
    if abs(streamed_s / timed_s - 1) <= STREAMED_RANGE:
        return None
    return (
        f"a streamed generation took {streamed_s / timed_s:.2f} times as long as a timed one "
        f"({streamed_s:.3g} and {timed_s:.3g} s): TTFT, TPOT and ITL come from other generations than tokens/s"
    )


def _repetitions(n: int) -> str:
    return f"{n} repetition{'s' if n > 1 else ''}"


RULES = (
    Rule("drift", _drift, "let the machine cool down and end other work; give more `--warmups`; look at `clocks`"),
    Rule(
        "drift_across",
        _drift_across,
        "the machine changed during the run: measure again later; the difference of both runs is the error",
    ),
    Rule("outliers", _outliers, "look for other work at that time; use the median rather than the mean"),
    Rule("bimodality", _bimodality, "the mean describes neither mode: look at the samples; pin the process to CPUs"),
    Rule("wide_interval", _wide_interval, "more `--processes`: repetitions in the same process do not help"),
    Rule("no_interval", _no_interval, "`--processes 3` or more"),
    Rule("few_samples", _few, "`--processes 3 -r 5` or more"),
    Rule("rare_states", _rare_states, "`--processes 30` finds a state that a tenth of the processes are in"),
    Rule("first_call", _first_call, "more `--warmups`"),
    Rule(
        "clocks", _clocks, "lock the GPU's clock (`nvidia-smi -lgc`, as root), or compare only runs with the same clock"
    ),
    Rule(
        "throttling",
        _throttling,
        "a power limit is common under load: compare only runs under the same limit; for heat, cool the GPU",
    ),
    Rule("temperature", _temperature, "more cooling, or pauses between runs"),
    Rule("shared_gpu", _shared_gpu, "end the other processes, or choose another GPU with `CUDA_VISIBLE_DEVICES`"),
    Rule("busy_host", _busy_host, "end other work, or measure when the machine is idle"),
    Rule(
        "slow_host",
        _slow_host,
        "pin the process to one core (`taskset -c`), or measure on an idle machine; look at these samples",
    ),
    Rule("recompiled", _recompiled, "more `--warmups`; if that does not help, leave these repetitions out"),
    Rule("no_limits", _no_limits, "measure again, without `--quick`"),
    Rule("not_checked", _not_checked, "measure again with this version; where the check fails, the log says why"),
    Rule("streamed_apart", _streamed_apart, "do not derive one from the other; `load` measures streams"),
)
REMEDIES = {rule.code: rule.remedy for rule in RULES}
"""Code → what to do about the warning."""
