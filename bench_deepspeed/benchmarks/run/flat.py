from __future__ import annotations

import statistics

from bench_deepspeed.benchmarks.common.columns import _sample
from bench_deepspeed.measure import metrics, warnings
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.statistics import speed_interval, summarize
from bench_deepspeed.model import catalog
from bench_deepspeed.report.flat_files import Row

from . import profile_view


def _result_rows(result: Result) -> list[Row]:
    samples = result.valid_samples
    speed = summarize([sample.tokens_per_s for sample in samples])
    loads = [run.load_s for run in result.runs if run.load_s is not None]
    memory = result.memory
    row = {
        **_speed(result),
        "max_tokens": result.scenario.max_tokens,
        "processes": len(result.runs),
        "repetitions": len(samples),
        "void_repetitions": result.void_count,
        "tokens_per_s_median": speed and speed.median,
        "tokens_per_s_min": speed and speed.minimum,
        "tokens_per_s_max": speed and speed.maximum,
        "load_s": statistics.fmean(loads) if loads else None,
        "compile_s": _compile_s(result),
        **_latency(result),
        **_utilization(result),
        **_step(result),
    }
    parts = ("weights", "kv_pool", "kv_used", "workspace", "device_peak", "driver", "host_peak")
    row |= {f"{part}_bytes": getattr(memory, f"{part}_bytes") for part in parts}
    row["energy_j_per_token"] = result.energy and metrics.joules_per_token(result.energy)
    row["power_w"] = result.energy and metrics.mean_power_w(result.energy)
    return [{**row, "warnings": " ".join(finding.code for finding in warnings.check(result))}]


def _compile_s(result: Result) -> float | None:
    return result.runs[0].compile_s if result.runs else None


def _speed(result: Result) -> Row:
    samples, interval = result.valid_samples, speed_interval(result)
    speed = summarize([sample.tokens_per_s for sample in samples])
    return {
        "prompt_tokens": samples[0].prompt_tokens if samples else None,
        "tokens_per_s_mean": interval and interval.mean,
        "tokens_per_s_low": interval and interval.low,
        "tokens_per_s_high": interval and interval.high,
        "tokens_per_s_std": speed and speed.std,
    }


def _latency(result: Result) -> Row:
    latency = result.latency
    itl = (metrics.itl_s(latency) if latency else None) or {}
    return {
        "latency_method": latency and latency.method,
        "ttft_s": latency and metrics.ttft_s(latency),
        "tpot_s": latency and metrics.mean_tpot_s(latency, result.scenario.max_tokens),
        **{f"itl_p{percent}_s": itl.get(percent) for percent in (50, 90, 99)},
    }


def _utilization(result: Result) -> Row:
    spec, prefill, limits = catalog.load(result.scenario.model), result.prefill, result.limits
    mfu, mbu = metrics.mfu(result, spec), metrics.mbu(result, spec)
    return {
        "prefill_tokens": prefill and prefill.prompt_tokens,
        "prefill_s": statistics.fmean(prefill.seconds) if prefill and prefill.seconds else None,
        "mfu": mfu and mfu.value,
        "mbu": mbu and mbu.value,
        "mbu_source": mbu and mbu.source,
        "limit_bytes_per_s": limits and limits.bytes_per_s,
        "limit_flops_per_s": limits and limits.matmul_flops_per_s,
    }


def _step(result: Result) -> Row:
    found = next((one for one in result.profiles if one.phase == "decode"), None)
    return {
        "decode_step_s": found and found.step_s,
        "decode_busy_s": found and found.busy_s,
        "decode_idle_s": found and profile_view.idle_s(found),
    }


def _result_samples(result: Result) -> list[Row]:
    return [
        _sample(sample, (phase, group, index), phase == "timed" and not sample.is_void(result.scenario))
        for group, run in enumerate(result.runs, 1)
        for phase, series in (("warmup", run.warmups), ("timed", run.samples))
        for index, sample in enumerate(series, 1)
    ]
