"""The metrics of a result: each is defined here once, and appears in every table, file and document.

A new one is one `Metric` in `METRICS`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from bench_deepspeed.benchmarks.common.kind import machine_of, peak_metric, warnings_metric
from bench_deepspeed.core import text, units
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure import metrics, plausibility, warnings
from bench_deepspeed.measure.audits import late_tokens
from bench_deepspeed.measure.metric import Bounds, Metric
from bench_deepspeed.measure.records import Audit, Memory, Profile, Result
from bench_deepspeed.measure.speed import process_speeds, speed_interval
from bench_deepspeed.measure.statistics import Summary, summarize
from bench_deepspeed.model import catalog

from . import series, step

Value = TypeVar("Value")


def is_random(result: Result) -> bool:
    """Whether its weights are random: the speed is that of the model's shape."""
    return text.has_random_weights(result.scenario.weights, result.scenario.engine)


def model_title(result: Result) -> str:
    """The model, and whether its weights are random."""
    scenario = result.scenario
    return text.model_title(result.model.get("title", scenario.model), scenario.weights, scenario.engine)


def engine_title(result: Result) -> str:
    """The engine, and its ranks where there are several."""
    return text.engine_title(result.scenario.engine, result.scenario.tensor_parallel)


def device_name(result: Result) -> str:
    """The GPU's name on CUDA; the processor's and the number of threads on the CPU."""
    name, threads = machine_of(result.environment, result.scenario.device), result.environment.torch_threads
    return f"{name}, {threads} threads" if result.scenario.device == "cpu" and threads else name


def speed_cell(result: Result) -> str:
    """ "17.42 [17.30, 17.54]": tokens/s and its 95% interval."""
    return SPEED.cell(result)


def counts(result: Result) -> str:
    """ "3 × 10" where each of three processes has ten valid repetitions, else "10 + 10 + 4"."""
    numbers = [len(speeds) for speeds in process_speeds(result)]
    if len(set(numbers)) == 1:
        return f"{len(numbers)} × {numbers[0]}"
    return " + ".join(map(str, numbers)) or "0"


def compiling(result: Result) -> str:
    """Seconds of each process in their order: what one compiles, the next may find in the compiler's cache."""
    seconds = [run.compile_s for run in result.runs if run.compile_s is not None]
    return ", ".join(map(units.seconds, seconds)) or "none"


def first_compile_s(result: Result) -> float | None:
    """Seconds that the first process took to compile the model; None where nothing was compiled."""
    return result.runs[0].compile_s if result.runs else None


def prompt_tokens(result: Result) -> int | None:
    """Tokens of the prompt, as the engine counted them."""
    samples = result.valid_samples
    return samples[0].prompt_tokens if samples else None


def mean_speed(result: Result) -> float | None:
    """Total tokens over total time of the valid repetitions."""
    interval = speed_interval(result)
    return interval and interval.mean


def speed_bounds(result: Result) -> Bounds | None:
    """The 95% interval of tokens/s; a single process has none."""
    interval = speed_interval(result)
    if interval is None or interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high


def _summary(statistic: Callable[[Summary], float | None]) -> Callable[[Result], float | None]:
    def value(result: Result) -> float | None:
        summary = summarize([sample.tokens_per_s for sample in result.valid_samples])
        return summary and statistic(summary)

    return value


def _host_s(result: Result) -> list[float]:
    """The host's loop around each valid repetition, in seconds."""
    return [statistics.fmean(sample.host_s) for sample in result.valid_samples if sample.host_s]


def _host_range(result: Result) -> str | None:
    loops = _host_s(result)
    return f"{units.milliseconds(min(loops))} to {units.milliseconds(max(loops))}" if loops else None


def _lengths(result: Result) -> str:
    tokens = prompt_tokens(result)
    return NOT_MEASURED if tokens is None else f"{tokens} + {result.scenario.max_tokens}"


def _load_s(result: Result) -> float | None:
    loads = [run.load_s for run in result.runs if run.load_s is not None]
    return statistics.fmean(loads) if loads else None


def _itl(percent: int) -> Metric[Result]:
    def value(result: Result) -> float | None:
        gaps = metrics.itl_s(result.latency) if result.latency else None
        return gaps and gaps[percent]

    words = "median" if percent == 50 else f"{percent}th percentile"
    meaning = f"inter-token latency, the gap between two tokens of a stream: {words} over all gaps"
    return Metric(
        f"itl_p{percent}_s",
        f"ITL p{percent}",
        "s",
        meaning,
        value,
        "lower",
        series.method,
        remark=series.gaps,
        group="Latency",
    )


def _prefill_tokens(result: Result) -> int | None:
    return result.prefill and result.prefill.prompt_tokens


def _prefill_s(result: Result) -> float | None:
    return statistics.fmean(result.prefill.seconds) if result.prefill and result.prefill.seconds else None


def _mfu(result: Result) -> metrics.Utilization | None:
    return metrics.mfu(result, catalog.load(result.scenario.model))


def _mbu(result: Result) -> metrics.Utilization | None:
    return metrics.mbu(result, catalog.load(result.scenario.model))


def _value(utilization: Callable[[Result], metrics.Utilization | None]) -> Callable[[Result], float | None]:
    return lambda result: (measured := utilization(result)) and measured.value


def _source(utilization: Callable[[Result], metrics.Utilization | None]) -> Callable[[Result], str | None]:
    return lambda result: (measured := utilization(result)) and measured.source


def _profiled(phase: str, value: Callable[[Profile], Value]) -> Callable[[Result], Value | None]:
    """What the profile of a phase says; None where there is no such profile."""
    return lambda result: next((value(profile) for profile in result.profiles if profile.phase == phase), None)


def _gate(result: Result) -> plausibility.Ceiling | None:
    return plausibility.gate(result, catalog.load(result.scenario.model))


def _slack(result: Result) -> str | None:
    """By what the gate would refuse, and how far above the measured speed."""
    ceiling, speed = _gate(result), mean_speed(result)
    return f"{ceiling.steps_per_s / speed:.2f} × the measured; {ceiling.by}" if ceiling and speed else None


def _memory(part: str, title: str, meaning: str, better: str | None = None) -> Metric[Result]:
    def value(result: Result) -> float | None:
        return getattr(result.memory, part)

    remark = _of_ranks(lambda memory, _device: getattr(memory, part))
    place = "detail" if title else "data"
    return Metric(part, title, "bytes", meaning, value, better, remark=remark, place=place, group="Memory")


def _of_ranks(size: Callable[[Memory, str], int | None]) -> Callable[[Result], str | None]:
    """The sizes of the ranks, where there are several, of which a metric shows the sum."""

    def remark(result: Result) -> str | None:
        sizes = [size(rank, result.scenario.device) for rank in result.memory.ranks]
        return f"ranks: {', '.join(map(units.gigabytes, sizes))}" if sizes and None not in sizes else None

    return remark


def _codes(result: Result) -> list[str]:
    return [finding.code for finding in warnings.check(result)]


def _audits(result: Result) -> list[Audit]:
    return [run.audit for run in result.runs if run.audit is not None]


def _answer_gap(result: Result) -> float | None:
    return max((gap for audit in _audits(result) for gap in audit.gaps), default=None)


def _checked(result: Result) -> str | None:
    audits = _audits(result)
    return f"{sum(len(audit.given) for audit in audits)} checked" if audits else None


def _new_prompt_ratio(result: Result) -> float | None:
    """Of interleaved generations; in files from before these were timed, the repetitions are the repeated ones."""
    checked = [run for run in result.runs if run.audit is not None]
    new = [seconds for audit in _audits(result) for seconds in audit.new_prompt_s]
    repeated = [seconds for audit in _audits(result) for seconds in audit.repeated_s]
    repeated = repeated or [sample.seconds for run in checked for sample in run.samples]
    return statistics.fmean(new) / statistics.fmean(repeated) if new and repeated else None


def _new_long_prompt_ratio(result: Result) -> float | None:
    new = [seconds for audit in _audits(result) for seconds in audit.long_new_s]
    repeated = [seconds for audit in _audits(result) for seconds in audit.long_repeated_s]
    return statistics.fmean(new) / statistics.fmean(repeated) if new and repeated else None


def _late_tokens(result: Result) -> float | None:
    tokens = result.scenario.max_tokens
    ratios = [late_tokens(audit.first_s, audit.half_s, audit.new_prompt_s, tokens) for audit in _audits(result)]
    found = [ratio for ratio in ratios if ratio is not None and math.isfinite(ratio)]
    return statistics.median(found) if found else None


SPEED = Metric[Result](
    "tokens_per_s_mean",
    "tokens/s",
    "tokens/s",
    "total tokens over total time of the valid repetitions",
    mean_speed,
    "higher",
    interval=speed_bounds,
    place="summary",
)
METRICS: tuple[Metric[Result], ...] = (
    Metric("model_title", "model", "", "the model", model_title, place="summary", in_files=False),
    Metric("engine", "engine", "", "what generated", lambda r: r.scenario.engine, place="summary", shown=engine_title),
    Metric("device_title", "device", "", "the GPU or the processor", device_name, place="summary", in_files=False),
    Metric("precision", "precision", "", "of weights and arithmetic", lambda r: r.scenario.precision, place="summary"),
    Metric(
        "lengths",
        "prompt + new tokens",
        "",
        "tokens in and out",
        _lengths,
        place="summary",
        in_files=False,
        shown=_lengths,
        group="Speed",
    ),
    Metric("tensor_parallel", "ranks", "count", text.RANKS, lambda r: r.scenario.tensor_parallel, place="data"),
    Metric("prompt_tokens", "prompt tokens", "count", "tokens of each prompt", prompt_tokens, place="data"),
    Metric(
        "max_tokens",
        "new tokens",
        "count",
        "new tokens of each generation",
        lambda r: r.scenario.max_tokens,
        place="data",
    ),
    Metric("processes", "processes", "count", "processes that measured", lambda r: len(r.runs), place="data"),
    Metric(
        "repetitions",
        "repetitions",
        "count",
        "valid repetitions, of all processes together",
        lambda r: len(r.valid_samples),
        place="data",
    ),
    Metric(
        "void_repetitions",
        "void repetitions",
        "count",
        "repetitions with another number of tokens, which no statistic uses",
        lambda r: r.void_count,
        place="data",
    ),
    SPEED,
    Metric(
        "tokens_per_s_std",
        "std",
        "tokens/s",
        "sample standard deviation of all repetitions",
        _summary(lambda s: s.std),
        place="summary",
        group="Speed",
    ),
    Metric(
        "time_per_token_s",
        "time per token",
        "s",
        "median over the repetitions of seconds ∕ new tokens, prefill included",
        metrics.seconds_per_token,
        "lower",
        place="summary",
        group="Speed",
    ),
    Metric("counts", "n", "", "processes × repetitions", counts, place="summary", in_files=False),
    Metric(
        "tokens_per_s_median",
        "median",
        "tokens/s",
        "median of all repetitions",
        _summary(lambda s: s.median),
        group="Speed",
    ),
    Metric(
        "tokens_per_s_min",
        "slowest",
        "tokens/s",
        "the slowest repetition",
        _summary(lambda s: s.minimum),
        group="Speed",
    ),
    Metric(
        "tokens_per_s_max",
        "fastest",
        "tokens/s",
        "the fastest repetition",
        _summary(lambda s: s.maximum),
        group="Speed",
    ),
    Metric(
        "timed_answers_gap",
        "timed answers",
        "logits",
        "largest distance of a timed token's logit below the largest logit at its position",
        _answer_gap,
        remark=_checked,
        group="Speed",
    ),
    Metric(
        "new_prompt_ratio",
        "new prompt",
        "times",
        "time of a generation after a prompt that is new ∕ that after the repeated one, both means",
        _new_prompt_ratio,
        group="Speed",
    ),
    Metric(
        "host_s",
        "host's loop",
        "s",
        "time of a fixed loop of Python around a repetition: median",
        lambda r: statistics.median(_host_s(r)) if _host_s(r) else None,
        remark=_host_range,
        group="Speed",
    ),
    Metric(
        "new_long_prompt_ratio",
        "new long prompt",
        "times",
        "time of one token after a long prompt that is new ∕ that after a repeated one, both means",
        _new_long_prompt_ratio,
        group="Speed",
    ),
    Metric(
        "late_token_ratio",
        "second half",
        "times",
        "time of a token in the second half of an answer ∕ that of one in the first, median of the processes",
        _late_tokens,
        group="Speed",
    ),
    Metric("load_s", "loading", "long s", "mean time to load, over the processes", _load_s, "lower", group="Speed"),
    Metric(
        "compile_s",
        "compiling",
        "long s",
        "time that the first process took to compile the model (the others may use the compiler's cache)",
        first_compile_s,
        shown=compiling,
        group="Speed",
    ),
    Metric(
        "latency_method",
        "latency method",
        "",
        "how the times of tokens were separated: `streamed` or `difference`",
        series.method,
        place="data",
    ),
    Metric(
        "ttft_s",
        "TTFT",
        "s",
        "mean time to the first token",
        lambda r: r.latency and metrics.ttft_s(r.latency),
        "lower",
        series.method,
        interval=series.bounds_of(series.ttft_series),
        interval_of=series.GENERATIONS,
        remark=series.latency_remark(series.ttft_series, series.late),
        group="Latency",
    ),
    Metric(
        "tpot_s",
        "TPOT",
        "s",
        "mean time per output token after the first",
        lambda r: r.latency and metrics.mean_tpot_s(r.latency, r.scenario.max_tokens),
        "lower",
        series.method,
        interval=series.bounds_of(series.tpot_series),
        interval_of=series.GENERATIONS,
        remark=series.latency_remark(series.tpot_series, series.apart),
        group="Latency",
    ),
    _itl(50),
    _itl(90),
    _itl(99),
    Metric(
        "prefill_tokens",
        "prefill tokens",
        "count",
        "tokens of the long prompt that prefill is timed with",
        _prefill_tokens,
        place="data",
    ),
    Metric(
        "prefill_s",
        "prefill",
        "s",
        "mean time of one token after a long prompt",
        _prefill_s,
        "lower",
        _prefill_tokens,
        interval=series.bounds_of(series.prefill_series),
        interval_of=series.GENERATIONS,
        remark=lambda r: f"{_prefill_tokens(r)} tokens, {series.counted(series.prefill_series(r))}",
        group="Latency",
    ),
    Metric(
        "mfu",
        "MFU of prefill",
        "share",
        "model FLOPs utilization: FLOP/s that prefill must compute ∕ those measured of a matrix product",
        _value(_mfu),
        "higher",
        _prefill_tokens,
        remark=_source(_mfu),
        group="Bottleneck",
        of="of the matrix products that were measured",
    ),
    Metric(
        "mbu",
        "MBU of decode",
        "share",
        "model bandwidth utilization: bytes/s that decode must read ∕ the measured memory bandwidth",
        _value(_mbu),
        "higher",
        _source(_mbu),
        remark=_source(_mbu),
        group="Bottleneck",
        of="of the memory bandwidth that was measured",
    ),
    Metric("mbu_source", "MBU source", "", "the time that MBU is from", _source(_mbu), place="data"),
    Metric(
        "limit_bytes_per_s",
        "memory bandwidth",
        "bytes/s",
        "memory bandwidth of the device, measured",
        lambda r: r.limits and r.limits.bytes_per_s,
        group="Bottleneck",
    ),
    Metric(
        "limit_flops_per_s",
        "matrix products",
        "FLOP/s",
        "matrix products of the device in this precision, measured",
        lambda r: r.limits and r.limits.matmul_flops_per_s,
        group="Bottleneck",
    ),
    Metric(
        "gate_tokens_per_s",
        "gate",
        "tokens/s",
        "highest speed that the plausibility gate accepts for this run",
        lambda r: (ceiling := _gate(r)) and ceiling.steps_per_s,
        remark=_slack,
        group="Bottleneck",
    ),
    Metric(
        "decode_step_s",
        "decode step",
        "s",
        "time of a decode step when profiled",
        _profiled("decode", lambda profile: profile.step_s),
        remark=_profiled("decode", step.bottleneck),
        group="Bottleneck",
    ),
    Metric(
        "prefill_step_s",
        "prefill step",
        "s",
        "time of a prefill when profiled",
        _profiled("prefill", lambda profile: profile.step_s),
        remark=_profiled("prefill", step.bottleneck),
        group="Bottleneck",
    ),
    Metric(
        "decode_busy_s",
        "decode busy",
        "s",
        "of that, time in which the device worked",
        _profiled("decode", lambda profile: profile.busy_s),
        place="data",
    ),
    Metric(
        "decode_idle_s",
        "decode idle",
        "s",
        "the rest: the device waits for the host",
        _profiled("decode", step.idle_s),
        place="data",
    ),
    replace(
        peak_metric(lambda r: r.memory.peak_bytes(r.scenario.device)),
        comparable_by=lambda r: r.scenario.device,
        remark=_of_ranks(Memory.peak_bytes),
        place="summary",
        in_files=False,
        group="Memory",
    ),
    _memory("weights_bytes", "weights", "the parameters as the engine holds them", "lower"),
    _memory("kv_pool_bytes", "KV pool", "reserved for the KV cache"),
    _memory("kv_used_bytes", "KV in use", "used of the KV cache"),
    _memory("workspace_bytes", "workspace", "beyond weights and cache, at the peak", "lower"),
    _memory("device_peak_bytes", "", "peak of the device's memory"),
    _memory("driver_bytes", "driver", "used on the device, as its driver reports it"),
    _memory("host_peak_bytes", "", "peak of the host's process"),
    Metric(
        "energy_j_per_token",
        "energy",
        "J/token",
        "energy of a whole generation over its new tokens",
        series.joules,
        "lower",
        lambda r: r.energy and r.energy.source,
        interval=series.bounds_of(series.joules_series),
        interval_of=series.PARTS,
        shown=series.energy_cell(series.joules, series.joules_series, "J/token"),
        group="Energy",
    ),
    Metric(
        "power_w",
        "power",
        "W",
        "mean power during it",
        series.watts,
        interval=series.bounds_of(series.power_series),
        interval_of=series.PARTS,
        shown=series.energy_cell(series.watts, series.power_series, "W"),
        group="Energy",
    ),
    warnings_metric(_codes),
)
