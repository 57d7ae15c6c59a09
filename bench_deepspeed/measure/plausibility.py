"""The gate: a speed beyond the device's own measured limits is a wrong measurement, whatever its source.

It is what a timed call that did not wait for the device looks like, or an engine that counts tokens which it
did not generate. Nothing that the gate stops is ever shown as a speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench_deepspeed.core.errors import ImpossibleError
from bench_deepspeed.model import arithmetic, catalog
from bench_deepspeed.model.catalog import ModelSpec

from . import metrics
from .audits import check_audits
from .records import Limits, Result, best_of

TOLERANCE = 1.05  # a plain copy, sum or product comes near the device's ceiling, and is not the ceiling
MIN_TICKS = 1000  # a time of fewer ticks of the clock is off by more than 0.1 %


BUSY_TOLERANCE = 1.25
"""The profile's steps are other ones than those that were timed: the GPU's clock may differ between them."""


@dataclass(frozen=True)
class Ceiling:
    """Decode steps a second beyond which nothing passes, and by what."""

    steps_per_s: float
    by: str


@dataclass(frozen=True)
class DecodeStep:
    """What one decode step must do: bytes to read, and FLOPs. For one sequence, it generates one token."""

    bytes: float
    flops: float


def check(result: Result, spec: ModelSpec) -> None:
    """Compare every time with what the device can do, and every answer that was timed with what the model prefers.

    Raises ImpossibleError with the arithmetic. An engine that reads no weights is not checked, and without
    measured limits only the clock and the answers are.
    """
    check_audits(result)
    if not result.engine.reads_weights:
        return
    for what, seconds in _times(result):
        check_clock(what, seconds, time.get_clock_info("perf_counter").resolution)
    limits = result.limits
    if limits is None:
        return
    if result.valid_samples:
        step = DecodeStep(metrics.step_bytes(result, spec), arithmetic.decode_flops(spec))
        for what, steps_per_s in _rates(result):
            check_steps(what, steps_per_s, step, limits)
            _check_busy(what, steps_per_s, _busy_s(result))
    if result.prefill and result.prefill.seconds:
        flops = arithmetic.prefill_flops(spec, result.prefill.prompt_tokens)
        check_prefill(flops, min(result.prefill.seconds), limits)


def require_possible(result: Result, measure_limits: Callable[[], Limits]) -> None:
    """Raise ImpossibleError where a result is beyond the device's limits; see `check`.

    Limits measured while others used the machine are too low. So before they refute anything they are measured
    once more, and the better count.
    """
    spec = catalog.load(result.scenario.model)
    check_audits(result)
    try:
        check(result, spec)
    except ImpossibleError:
        again = measure_limits()
        result.limits = best_of(result.limits, again) if result.limits else again
        check(result, spec)


def check_clock(what: str, seconds: float, resolution_s: float) -> None:
    """A time must be long compared with the clock's ticks."""
    if seconds < MIN_TICKS * resolution_s:
        raise ImpossibleError(
            f"impossible: {what} took {seconds:.3g} s, and a clock of {resolution_s:.3g} s ticks is too coarse "
            f"for less than {MIN_TICKS * resolution_s:.3g} s"
        )


def check_steps(what: str, steps_per_s: float, step: DecodeStep, limits: Limits) -> None:
    """Decode steps a second against the memory's bandwidth and the matrix products.

    Caches can hold at most what fits in them from one step to the next, so that much of a step's bytes is
    not counted; where their size is not known, memory is not checked.
    """
    steps = f"{what}: {steps_per_s:.1f} steps/s"
    if limits.cache_bytes is not None and (from_memory := step.bytes - limits.cache_bytes) > 0:
        needed = f"({_si(step.bytes, 'B')} a step − {_si(limits.cache_bytes, 'B')} that caches can hold)"
        _compare(f"{steps} × {needed}", steps_per_s * from_memory, limits.bytes_per_s, "B", limits.cpu_share)
    needed = f"{_si(step.flops, 'FLOP')} a step"
    _compare(f"{steps} × {needed}", steps_per_s * step.flops, limits.matmul_flops_per_s, "FLOP", limits.cpu_share)


def gate(result: Result, spec: ModelSpec) -> Ceiling | None:
    """The lowest ceiling of a result's decode steps; None where nothing was measured that bounds them.

    Slower speeds pass, right or wrong; the ratio of this ceiling to the measured speed is the gate's slack.
    """
    if not result.valid_samples or not result.engine.reads_weights:
        return None
    ceilings, limits, busy_s = [], result.limits, _busy_s(result)
    if limits is not None:
        step = DecodeStep(metrics.step_bytes(result, spec), arithmetic.decode_flops(spec))
        share = 1.0 if limits.cpu_share is None else limits.cpu_share
        if limits.cache_bytes is not None and (from_memory := step.bytes - limits.cache_bytes) > 0:
            ceilings.append(Ceiling(TOLERANCE * limits.bytes_per_s / share / from_memory, "memory bandwidth"))
        ceilings.append(Ceiling(TOLERANCE * limits.matmul_flops_per_s / share / step.flops, "matrix products"))
    if busy_s:
        ceilings.append(Ceiling(BUSY_TOLERANCE / busy_s, "the GPU's work in a step"))
    return min(ceilings, key=lambda ceiling: ceiling.steps_per_s, default=None)


def _busy_s(result: Result) -> float | None:
    """Seconds of a decode step in which the GPU works, profiled; None on the CPU, where that is a share of the step."""
    decode = (profile for profile in result.profiles if (profile.phase, profile.device) == ("decode", "cuda"))
    return next((profile.busy_s for profile in decode if profile.busy_s), None)


def _check_busy(what: str, steps_per_s: float, busy_s: float | None) -> None:
    """No step takes less than the GPU's own work in one, which was profiled in steps of less context than most."""
    if busy_s and steps_per_s * busy_s > BUSY_TOLERANCE:
        raise ImpossibleError(
            f"impossible: {what}: {steps_per_s:.1f} steps/s × {1e3 * busy_s:.3g} ms that the GPU works in a profiled "
            f"step = {steps_per_s * busy_s:.2f} s of work a second"
        )


def check_prefill(flops: float, seconds: float, limits: Limits) -> None:
    """A prompt's FLOPs over its seconds against the matrix products."""
    calculation = f"prefill: {_si(flops, 'FLOP')} / {seconds:.4g} s"
    _compare(calculation, flops / seconds, limits.matmul_flops_per_s, "FLOP", limits.cpu_share)


def _compare(calculation: str, rate: float, limit: float, unit: str, cpu_share: float | None) -> None:
    """A limit that was measured with a share of the CPUs refutes nothing that all of them could do."""
    share = 1.0 if cpu_share is None else cpu_share
    if rate > TOLERANCE * limit / share:
        with_share = "" if share > 0.99 else f" with {share:.0%} of its CPUs"
        raise ImpossibleError(
            f"impossible: {calculation} = {_si(rate, unit)}/s, "
            f"but this device was measured at {_si(limit, unit)}/s{with_share}"
        )


def _times(result: Result) -> Iterator[tuple[str, float]]:
    """Every time that a metric comes from, and what took it."""
    for number, sample in enumerate(result.valid_samples, 1):
        yield f"repetition {number}", sample.seconds
    if result.latency:
        yield from (("the first token", seconds) for seconds in result.latency.ttft_s)
        yield from (("a generation timed for latency", seconds) for seconds in result.latency.e2e_s)
    if result.prefill:
        yield from (("prefill", seconds) for seconds in result.prefill.seconds)


def _rates(result: Result) -> Iterator[tuple[str, float]]:
    """Steps a second of every generation, prefill counted as one of them, and of decoding alone.

    Prefill reads the weights once, too, so a generation of n tokens reads them n times.
    """
    for number, sample in enumerate(result.valid_samples, 1):
        yield f"repetition {number}", sample.tokens_per_s
    for seconds in result.latency.e2e_s if result.latency else []:
        yield "a generation timed for latency", result.scenario.max_tokens / seconds
    if rate := metrics.decode_rate(result):
        yield f"decoding ({rate.source})", rate.steps_per_s


def _si(value: float, unit: str) -> str:
    """ "67.6 TB": three digits, and the prefix that leaves one to three of them before the point."""
    for exponent, prefix in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**exponent:
            return f"{value / 10**exponent:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"
