"""Metrics of one scenario of a sweep, from its samples, the model's shape and the device's limits.

With batch size B, prompt tokens P and new tokens N of each sequence. `None`: not measured.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench_deepspeed.core.errors import ImpossibleError
from bench_deepspeed.engines import engine_class
from bench_deepspeed.measure import audits, plausibility
from bench_deepspeed.measure.distributions import student_quantile
from bench_deepspeed.measure.ratio import LogError, Ratio, ratio_of
from bench_deepspeed.measure.records import Limits
from bench_deepspeed.model import arithmetic, catalog
from bench_deepspeed.model.catalog import ModelSpec

from .records import SweepResult, SweepScenario

UNCERTAIN = 0.1
"""A difference of two times whose standard error is more than this share of it is too uncertain to be shown."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the 95% interval of it, over n `units`: processes, or the rounds of a single process.

    `relative` is the half width of its logarithm; None for a single unit.
    """

    value: float
    relative: float | None
    n: int
    units: str

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval: value · exp( ± relative)."""
        return None if self.relative is None else (self.value / _exp(self.relative), self.value * _exp(self.relative))

    @property
    def error(self) -> LogError | None:
        """The standard error of its logarithm; None for a single unit."""
        return None if self.relative is None else LogError(self.relative / student_quantile(self.n - 1), self.n - 1)


def limits_of(sweep: SweepResult, scenario: SweepScenario) -> Limits | None:
    """What bounds a scenario; None where its engine reads no weights, or nothing was measured."""
    return sweep.limits.get(sweep.limits_key(scenario)) if engine_class(scenario.engine).reads_weights() else None


def prefill_s(scenario: SweepScenario) -> Estimate | None:
    """Mean seconds of the generations of one token."""
    return _estimate(scenario, lambda prefill, _total: prefill, lambda seconds: seconds)


def overall_tokens_per_s(scenario: SweepScenario) -> Estimate | None:
    """B · N ∕ mean total seconds, prefill included."""
    tokens = scenario.batch_size * scenario.max_tokens
    return _estimate(scenario, lambda _prefill, total: total, lambda seconds: tokens / seconds)


def decode_rate(scenario: SweepScenario) -> Estimate | None:
    """B · (N − 1) ∕ (mean total − mean prefill), in tokens/s: the first token is the prefill's.

    None for N = 1, and where the difference is not above zero or its standard error more than a tenth of it: then
    prefill and decode cannot be separated.
    """
    if scenario.max_tokens == 1 or not scenario.total:
        return None
    tokens = scenario.batch_size * (scenario.max_tokens - 1)
    rate = _estimate(scenario, lambda prefill, total: total - prefill, lambda seconds: tokens / seconds)
    if rate is None or (rate.relative is not None and rate.relative > UNCERTAIN * student_quantile(rate.n - 1)):
        return None
    return rate


Seconds = Callable[[float, float], float]


def _estimate(scenario: SweepScenario, of: Seconds, value: Callable[[float], float]) -> Estimate | None:
    """A value of the mean seconds x̄ that `of` makes of prefill and total, with its interval.

    The units are the means of the processes where there are two or more, as in `statistics.mean_interval`; of a single
    process they are its rounds, and the interval then says nothing of another process. Its half width, of the
    logarithm, is t(0.975; n - 1) · s ∕ (√n x̄) by the delta method, for the seconds and for what they divide alike
    (G. W. Oehlert, "A Note on the Delta Method", The American Statistician 46, 1992). None where x̄ is not above zero.
    """
    processes = [[of(*seconds) for seconds in rounds] for rounds in scenario.processes]
    if not processes:
        return None
    several = len(processes) > 1
    units = list(map(statistics.fmean, processes)) if several else processes[0]
    mean, n = statistics.fmean(units), len(units)
    if mean <= 0:
        return None
    relative = student_quantile(n - 1) * statistics.stdev(units) / math.sqrt(n) / mean if n > 1 else None
    return Estimate(value(mean), relative, n, "processes" if several else "rounds of one process")


def _exp(value: float) -> float:
    """exp, without an overflow: where decode and prefill can hardly be separated, the interval has no end."""
    return math.exp(min(value, 700.0))


def apart_from_ranks(scenario: SweepScenario) -> tuple[str, str, int, int, int]:
    """What a scenario has in common with that of another number of ranks."""
    return (
        scenario.engine,
        scenario.precision,
        scenario.batch_size,
        scenario.prompt_tokens,
        scenario.max_tokens,
    )


def efficiency(sweep: SweepResult, scenario: SweepScenario) -> Ratio | None:
    """Tokens/s a device of a scenario over those of the same on one rank: r_N ∕ (d r_1) with d devices.

    The interval is Welch's, see `ratio.speed_ratio`, by the errors of both. None where one of them was not measured, or
    is not in the sweep.
    """
    alike = (s for s in sweep.scenarios if apart_from_ranks(s) == apart_from_ranks(scenario))
    alone = next((other for other in alike if other.tensor_parallel == 1), None)
    if alone is None or {scenario.status, alone.status} != {"complete"}:
        return None
    rate, base = overall_tokens_per_s(scenario), overall_tokens_per_s(alone)
    if rate is None or base is None:
        return None
    value = rate.value / base.value / sweep.devices(scenario)
    return ratio_of(value, value, base.error, rate.error)


def step(spec: ModelSpec, scenario: SweepScenario, device: str) -> plausibility.DecodeStep:
    """A decode step of the whole batch: the weights once and B contexts to read, 2 · weights · B FLOPs."""
    context = arithmetic.mean_context(spec, scenario.prompt_tokens, scenario.max_tokens)
    cell = scenario.cell(device)
    contexts = scenario.batch_size * arithmetic.kv_bytes(spec, cell.compute, context)
    weights = arithmetic.decode_bytes(spec, cell.compute, 0, cell.packing)
    return plausibility.DecodeStep(weights + contexts, scenario.batch_size * arithmetic.decode_flops(spec))


def memory_limit(spec: ModelSpec, scenario: SweepScenario, device: str, limits: Limits) -> float:
    """Decode tokens/s that the memory allows: B · bandwidth ∕ bytes of a step."""
    return scenario.batch_size * limits.bytes_per_s / step(spec, scenario, device).bytes


def compute_limit(spec: ModelSpec, limits: Limits) -> float:
    """Decode tokens/s that the matrix products allow, whatever the batch: FLOP/s ∕ (2 · weights)."""
    return limits.matmul_flops_per_s / arithmetic.decode_flops(spec)


def decode_limit(spec: ModelSpec, scenario: SweepScenario, device: str, limits: Limits) -> float:
    """The roofline at this batch (S. Williams et al., 2009): the smaller of the two."""
    return min(memory_limit(spec, scenario, device, limits), compute_limit(spec, limits))


def least_prefill_s(spec: ModelSpec, scenario: SweepScenario, limits: Limits) -> float:
    """B · FLOPs of a prompt ∕ FLOP/s: no prefill of the batch takes less."""
    return scenario.batch_size * arithmetic.prefill_flops(spec, scenario.prompt_tokens) / limits.matmul_flops_per_s


def least_s(spec: ModelSpec, scenario: SweepScenario, device: str, limits: Limits, rounds: int) -> float:
    """A lower bound of the seconds of so many rounds, each one prefill alone and one with N − 1 steps after it."""
    steps = scenario.batch_size * (scenario.max_tokens - 1) / decode_limit(spec, scenario, device, limits)
    return rounds * (2 * least_prefill_s(spec, scenario, limits) + steps)


def check_answers(scenario: SweepScenario, device: str) -> None:
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
    audits.check_gaps(f"the timed answers of {batch}", scenario.check.gaps, scenario.cell(device).compute)
    audits.check_read(batch, scenario.check.read_s, min(sample.seconds for sample in scenario.total))


def check_possible(spec: ModelSpec, scenario: SweepScenario, device: str, limits: Limits) -> None:
    """Hold a scenario against the limits, as `plausibility` does a run. Raises ImpossibleError with the arithmetic.

    A whole generation counts as N steps, since prefill reads the weights once, and writes what it would read
    of the contexts.
    """
    resolution = time.get_clock_info("perf_counter").resolution
    for what, samples in (("prefill", scenario.prefill), ("a generation", scenario.total)):
        for sample in samples:
            plausibility.check_clock(what, sample.seconds, resolution)
    decode_step, batch = step(spec, scenario, device), f"batch {scenario.batch_size}"
    for sample in scenario.total:
        plausibility.check_steps(f"a generation, {batch}", scenario.max_tokens / sample.seconds, decode_step, limits)
    if rate := decode_rate(scenario):
        plausibility.check_steps(f"decoding, {batch}", rate.value / scenario.batch_size, decode_step, limits)
    flops = scenario.batch_size * arithmetic.prefill_flops(spec, scenario.prompt_tokens)
    plausibility.check_prefill(flops, min(sample.seconds for sample in scenario.prefill), limits)


def excess(sweep: SweepResult, scenario: SweepScenario) -> str | None:
    """The arithmetic by which a measured scenario is beyond the device's limits; None where it is possible."""
    measured = limits_of(sweep, scenario)
    if measured is None:
        return None
    settings = sweep.settings
    return _refused(check_possible, catalog.load(settings.model), scenario, settings.device, measured)


def wrong_answers(scenario: SweepScenario, device: str) -> str | None:
    """Why what was timed is not the time of the model's answers; None where nothing shows that."""
    return _refused(check_answers, scenario, device)


def _refused(check: Callable[..., None], *arguments: object) -> str | None:
    """Why a check refuses something, without the status's word; None where it passes."""
    try:
        check(*arguments)
    except ImpossibleError as error:
        return str(error).removeprefix("impossible: ")
    return None
