"""Metrics of one scenario of a sweep, from its samples, the model's shape and the device's limits.

With batch size B, prompt tokens P and new tokens N of each sequence. `None`: not measured.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass

from bench_deepspeed.core.errors import ImpossibleError
from bench_deepspeed.engines import engine_class
from bench_deepspeed.measure import audits, plausibility
from bench_deepspeed.measure.records import Limits, Sample
from bench_deepspeed.model import arithmetic
from bench_deepspeed.model.catalog import ModelSpec

from .records import SweepResult, SweepScenario

UNCERTAIN = 0.1
"""A difference of two times whose standard error is more than this share of it is too uncertain to be shown."""


@dataclass(frozen=True)
class DecodeRate:
    """Tokens a second of all sequences together, and its standard error; None for a single repetition."""

    tokens_per_s: float
    standard_error: float | None


def limits_of(sweep: SweepResult, scenario: SweepScenario) -> Limits | None:
    """What bounds a scenario; None where its engine reads no weights, or nothing was measured."""
    return sweep.limits.get(scenario.precision) if engine_class(scenario.engine).reads_weights() else None


def mean_s(samples: list[Sample]) -> float | None:
    """Mean seconds."""
    return statistics.fmean(sample.seconds for sample in samples) if samples else None


def overall_tokens_per_s(scenario: SweepScenario) -> float | None:
    """B · N ∕ mean total seconds, prefill included."""
    total = mean_s(scenario.total)
    return scenario.batch_size * scenario.max_tokens / total if total else None


def decode_rate(scenario: SweepScenario) -> DecodeRate | None:
    """B · (N − 1) ∕ (mean total − mean prefill): the first token is the prefill's.

    The standard error of the difference is √(s²(total) ∕ n + s²(prefill) ∕ n), with the sample variances of
    n repetitions. None for N = 1, and where the difference is not above zero or its error more than a tenth
    of it: then prefill and decode cannot be separated.
    """
    if scenario.max_tokens == 1 or not scenario.total:
        return None
    seconds = mean_s(scenario.total) - mean_s(scenario.prefill)
    error = _standard_error(scenario)
    if seconds <= 0 or (error is not None and error > UNCERTAIN * seconds):
        return None
    speed = scenario.batch_size * (scenario.max_tokens - 1) / seconds
    return DecodeRate(speed, None if error is None else speed * error / seconds)


def _standard_error(scenario: SweepScenario) -> float | None:
    series = [[sample.seconds for sample in samples] for samples in (scenario.prefill, scenario.total)]
    if min(map(len, series)) < 2:
        return None
    return math.sqrt(sum(statistics.variance(seconds) / len(seconds) for seconds in series))


def step(spec: ModelSpec, scenario: SweepScenario) -> plausibility.DecodeStep:
    """A decode step of the whole batch: the weights once and B contexts to read, 2 · weights · B FLOPs."""
    context = arithmetic.mean_context(spec, scenario.prompt_tokens, scenario.max_tokens)
    contexts = scenario.batch_size * arithmetic.kv_bytes(spec, scenario.precision, context)
    weights = arithmetic.decode_bytes(spec, scenario.precision, 0)
    return plausibility.DecodeStep(weights + contexts, scenario.batch_size * arithmetic.decode_flops(spec))


def memory_limit(spec: ModelSpec, scenario: SweepScenario, limits: Limits) -> float:
    """Decode tokens/s that the memory allows: B · bandwidth ∕ bytes of a step."""
    return scenario.batch_size * limits.bytes_per_s / step(spec, scenario).bytes


def compute_limit(spec: ModelSpec, limits: Limits) -> float:
    """Decode tokens/s that the matrix products allow, whatever the batch: FLOP/s ∕ (2 · weights)."""
    return limits.matmul_flops_per_s / arithmetic.decode_flops(spec)


def decode_limit(spec: ModelSpec, scenario: SweepScenario, limits: Limits) -> float:
    """The roofline at this batch (S. Williams et al., 2009): the smaller of the two."""
    return min(memory_limit(spec, scenario, limits), compute_limit(spec, limits))


def least_prefill_s(spec: ModelSpec, scenario: SweepScenario, limits: Limits) -> float:
    """B · FLOPs of a prompt ∕ FLOP/s: no prefill of the batch takes less."""
    return scenario.batch_size * arithmetic.prefill_flops(spec, scenario.prompt_tokens) / limits.matmul_flops_per_s


def least_s(spec: ModelSpec, scenario: SweepScenario, limits: Limits, rounds: int) -> float:
    """A lower bound of the seconds of so many rounds, each one prefill alone and one with N − 1 steps after it."""
    steps = scenario.batch_size * (scenario.max_tokens - 1) / decode_limit(spec, scenario, limits)
    return rounds * (2 * least_prefill_s(spec, scenario, limits) + steps)


def check_answers(scenario: SweepScenario) -> None:
    """Hold what a scenario's batches answered against what was found of it, as `audits` does a run's.

    Raises ImpossibleError. A scenario that was not checked passes.
    """
    if scenario.check is None:
        return
    batch = f"batch {scenario.batch_size}"
    if scenario.check.fewest_tokens != scenario.max_tokens:
        raise ImpossibleError(
            f"impossible: {batch} counts {scenario.max_tokens} new tokens of a sequence whose answer has "
            f"{scenario.check.fewest_tokens}"
        )
    audits.check_gaps(f"the timed answers of {batch}", scenario.check.gaps, scenario.precision)
    audits.check_read(batch, scenario.check.read_s, min(sample.seconds for sample in scenario.total))


def check_possible(spec: ModelSpec, scenario: SweepScenario, limits: Limits) -> None:
    """Hold a scenario against the limits, as `plausibility` does a run. Raises ImpossibleError with the arithmetic.

    A whole generation counts as N steps, since prefill reads the weights once, and writes what it would read
    of the contexts.
    """
    resolution = time.get_clock_info("perf_counter").resolution
    for what, samples in (("prefill", scenario.prefill), ("a generation", scenario.total)):
        for sample in samples:
            plausibility.check_clock(what, sample.seconds, resolution)
    decode_step, batch = step(spec, scenario), f"batch {scenario.batch_size}"
    for sample in scenario.total:
        plausibility.check_steps(f"a generation, {batch}", scenario.max_tokens / sample.seconds, decode_step, limits)
    if rate := decode_rate(scenario):
        plausibility.check_steps(f"decoding, {batch}", rate.tokens_per_s / scenario.batch_size, decode_step, limits)
    flops = scenario.batch_size * arithmetic.prefill_flops(spec, scenario.prompt_tokens)
    plausibility.check_prefill(flops, min(sample.seconds for sample in scenario.prefill), limits)
