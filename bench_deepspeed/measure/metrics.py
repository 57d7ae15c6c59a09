"""Metrics derived from a result's raw measurements and from the model's shape: utilization, latency, energy.

Bytes and FLOPs are those that the model's arithmetic demands, the same for every engine: one that reads or
computes more than it must comes out lower. `None` means that what a metric needs was not measured.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from bench_deepspeed.model.arithmetic import decode_bytes, mean_context, prefill_flops
from bench_deepspeed.model.catalog import ModelSpec

from .distributions import student_quantile
from .records import Energy, EnergyPart, Latency, Result

DECODE_SHARE = 0.5
"""Where decoding is less than this share of a generation, what is left of its time without TTFT is the
difference of two nearly equal times, and mostly noise."""


@dataclass(frozen=True)
class Rate:
    """Decode steps a second, and where they come from: "TPOT, streamed", "TPOT, difference" or "end to end"."""

    steps_per_s: float
    source: str


@dataclass(frozen=True)
class Utilization:
    """`value` = `achieved` ∕ `limit`, both in bytes/s (MBU) or FLOP/s (MFU); `source` names the time it is from."""

    value: float
    achieved: float
    limit: float
    source: str


def tpot_s(latency: Latency, new_tokens: int) -> list[float]:
    """Time per output token of each generation: (end to end − TTFT) ∕ (new tokens − 1). Empty for one token.

    By "difference" the two come from different generations, so the mean TTFT is taken off each.
    """
    if new_tokens < 2 or not latency.ttft_s:
        return []
    first = latency.ttft_s if latency.method == "streamed" else [statistics.fmean(latency.ttft_s)] * len(latency.e2e_s)
    return [(e2e - ttft) / (new_tokens - 1) for e2e, ttft in zip(latency.e2e_s, first, strict=True)]


def mean_tpot_s(latency: Latency, new_tokens: int) -> float | None:
    """Mean of `tpot_s`; None where it is not above zero: the difference is then the clock's noise."""
    times = tpot_s(latency, new_tokens)
    mean = statistics.fmean(times) if times else 0.0
    return mean if mean > 0 else None


def ttft_s(latency: Latency) -> float | None:
    """Mean time to the first token."""
    return statistics.fmean(latency.ttft_s) if latency.ttft_s else None


def itl_s(latency: Latency) -> dict[int, float] | None:
    """Inter-token latency: its 50th, 90th and 99th percentiles over all gaps of all generations.

    With linear interpolation, as NumPy does by default. None where tokens were not timed one by one.
    """
    gaps = [gap for generation in latency.itl_s for gap in generation]
    if not gaps:
        return None
    cuts = statistics.quantiles(gaps if len(gaps) > 1 else gaps * 2, n=100, method="inclusive")
    return {percent: cuts[percent - 1] for percent in (50, 90, 99)}


def decode_rate(result: Result) -> Rate | None:
    """Decode steps a second: 1 ∕ mean TPOT, or new tokens ∕ seconds of the repetitions where that is more.

    The latter is a lower bound, since the time holds the prefill and the tokenizer too; but streaming may cost
    more than these. TPOT is left out where decoding was less than half of the generation (`DECODE_SHARE`).
    """
    new_tokens, latency, samples = result.scenario.max_tokens, result.latency, result.valid_samples
    rates = []
    times = tpot_s(latency, new_tokens) if latency else []
    if latency and times and sum(times) * (new_tokens - 1) >= DECODE_SHARE * sum(latency.e2e_s):
        rates.append(Rate(1 / statistics.fmean(times), f"TPOT, {latency.method}"))
    if samples:
        seconds = statistics.fmean(sample.seconds / sample.new_tokens for sample in samples)
        rates.append(Rate(1 / seconds, "end to end"))
    return max(rates, key=lambda rate: rate.steps_per_s, default=None)


def step_bytes(result: Result, spec: ModelSpec) -> float:
    """`decode_bytes` at the mean context of the result's valid repetitions. There must be one."""
    sample = result.valid_samples[0]
    context = mean_context(spec, sample.prompt_tokens, sample.new_tokens)
    cell = result.scenario.cell
    return decode_bytes(spec, cell.compute, context, cell.packing)


def mbu(result: Result, spec: ModelSpec) -> Utilization | None:
    """Model bandwidth utilization: bytes that decoding must read a second ∕ the device's bandwidth.

    Databricks (2023), with the bandwidth that was measured (`Limits.bytes_per_s`) instead of the data
    sheet's. From `decode_rate`; by its source "end to end" it is a lower bound. A model that the caches
    hold can go beyond 1.
    """
    rate = decode_rate(result)
    if rate is None or result.limits is None or not result.valid_samples:
        return None
    achieved, limit = rate.steps_per_s * step_bytes(result, spec), result.limits.bytes_per_s
    return Utilization(achieved / limit, achieved, limit, rate.source)


def mfu(result: Result, spec: ModelSpec) -> Utilization | None:
    """Model FLOPs utilization of prefill: FLOP/s that it must compute ∕ those of the measured matrix product.

    Chowdhery et al. (2022), with the measured product instead of the data sheet's. From the mean time, as
    every speed here: the fastest would compare the best of few with the typical of others. The time
    holds the tokenizer too, so it is a lower bound.
    """
    if result.prefill is None or result.limits is None or not result.prefill.seconds:
        return None
    seconds = statistics.fmean(result.prefill.seconds)
    achieved, limit = prefill_flops(spec, result.prefill.prompt_tokens) / seconds, result.limits.matmul_flops_per_s
    return Utilization(achieved / limit, achieved, limit, "mean prefill")


def generations_apart(result: Result) -> float | None:
    """How many times as long as the timed generations those of the latency pass took, where noise does not explain it.

    None where it does: Welch's t-test at 5% (B. L. Welch, 1947) of the latency pass's generations against the means of
    the processes, or, of a single process, its repetitions; degrees of freedom rounded down. The one process of the
    latency pass has its luck too: a difference may be that.
    """
    means = [statistics.fmean(seconds) for seconds in _seconds(result)]
    timed = means if len(means) > 1 else [s for seconds in _seconds(result) for s in seconds]
    streamed = result.latency.e2e_s if result.latency else []
    if min(len(timed), len(streamed)) < 2:
        return None
    variances = [statistics.variance(values) / len(values) for values in (timed, streamed)]
    difference = abs(statistics.fmean(streamed) - statistics.fmean(timed))
    if sum(variances) > 0:
        parts = sum(v * v / (len(values) - 1) for v, values in zip(variances, (timed, streamed), strict=True))
        degrees = max(1, int(sum(variances) ** 2 / parts))
        if difference <= student_quantile(degrees) * math.sqrt(sum(variances)):
            return None
    return statistics.fmean(streamed) / statistics.fmean(timed) if difference else None


def _seconds(result: Result) -> list[list[float]]:
    """Of the valid repetitions of each process that has any."""
    runs = ([s.seconds for s in run.samples if not s.is_void(result.scenario)] for run in result.runs)
    return [seconds for seconds in runs if seconds]


def seconds_per_token(result: Result) -> float | None:
    """Median over all valid repetitions of seconds ∕ new tokens, prefill included."""
    times = [sample.seconds / sample.new_tokens for sample in result.valid_samples]
    return statistics.median(times) if times else None


def first_token_came_late(latency: Latency) -> bool:
    """Whether in most generations the first token was handed over with the second.

    Then the first gap is less than half of the median gap, and TTFT holds about one step of decode too.
    """
    gaps = [generation for generation in latency.itl_s if len(generation) > 1]
    late = sum(generation[0] < statistics.median(generation) / 2 for generation in gaps)
    return bool(gaps) and 2 * late > len(gaps)


def joules_per_token(energy: Energy | EnergyPart) -> float | None:
    """Energy of the whole generation, prefill included, over its new tokens."""
    return energy.joules / energy.new_tokens if energy.new_tokens else None


def mean_power_w(energy: Energy) -> float | None:
    """Joules over seconds."""
    return energy.joules / energy.seconds if energy.seconds else None
