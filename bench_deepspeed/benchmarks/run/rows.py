"""One result as one row: the same figures, in the same words, wherever a table is shown."""

from __future__ import annotations

import statistics

from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure import metrics, warnings
from bench_deepspeed.measure.records import Memory, Result
from bench_deepspeed.measure.statistics import process_speeds, speed_interval, summarize
from bench_deepspeed.model import catalog

from .profile_view import state

LEGEND = (
    "tokens/s: mean [95% interval of it, from the means of the processes]; "
    "std: sample standard deviation of all repetitions; n: processes × repetitions"
)


def figures(result: Result) -> dict[str, str]:
    """Column title → cell of one result."""
    scenario = result.scenario
    samples = result.valid_samples
    speed = summarize([sample.tokens_per_s for sample in samples])
    return {
        "model": result.model.get("title", scenario.model) + (" (random weights)" if is_random(result) else ""),
        "engine": scenario.engine,
        "device": device_name(result),
        "precision": scenario.precision,
        "prompt + new tokens": f"{samples[0].prompt_tokens} + {scenario.max_tokens}" if samples else NOT_MEASURED,
        "tokens/s": speed_cell(result),
        "std": std(result),
        "n": counts(result),
        "median": _number(speed and speed.median),
        "min … max": f"{speed.minimum:.1f} … {speed.maximum:.1f}" if speed else NOT_MEASURED,
        "peak memory": _gb(peak_bytes(result)),
        "warnings": ", ".join(finding.code for finding in warnings.check(result)) or "none",
    }


def details(result: Result) -> dict[str, str]:
    """What the speed is made of and what bounds it: title → figure, from the passes after the timed ones."""
    spec, memory = catalog.load(result.scenario.model), result.memory
    return {
        "compiling": compiling(result),
        **_latency_figures(result),
        "prefill": _prefill(result),
        "MFU of prefill": _utilization(metrics.mfu(result, spec)),
        "MBU of decode": _utilization(metrics.mbu(result, spec)),
        "limits measured": _limits(result),
        "decode step": _state(result, "decode"),
        "weights": _gb(memory.weights_bytes),
        "KV pool, in use": _kv(memory),
        "workspace": _gb(memory.workspace_bytes),
        "driver": _gb(memory.driver_bytes),
        "energy": _energy(result),
    }


def compiling(result: Result) -> str:
    """Seconds of each process in their order: what one compiles, the next may find in the compiler's cache."""
    seconds = [run.compile_s for run in result.runs if run.compile_s is not None]
    return ", ".join(f"{value:.1f} s" for value in seconds) or "none"


def _latency_figures(result: Result) -> dict[str, str]:
    latency = result.latency
    itl = metrics.itl_s(latency) if latency else None
    method = f" ({latency.method})" if latency else ""
    return {
        "TTFT": ms(metrics.ttft_s(latency) if latency else None) + method,
        "TPOT": ms(metrics.mean_tpot_s(latency, result.scenario.max_tokens) if latency else None),
        "ITL p50, p90, p99": ", ".join(map(ms, itl.values())) if itl else NOT_MEASURED,
    }


def _prefill(result: Result) -> str:
    prefill = result.prefill
    if prefill is None:
        return NOT_MEASURED
    return f"{prefill.prompt_tokens} tokens in {ms(statistics.fmean(prefill.seconds))}"


def _utilization(found: metrics.Utilization | None) -> str:
    """ "58% (TPOT, streamed)": the share of the limit, and what it was taken from."""
    return NOT_MEASURED if found is None else f"{found.value:.0%} ({found.source})"


def _limits(result: Result) -> str:
    limits = result.limits
    if limits is None:
        return NOT_MEASURED
    return f"{limits.bytes_per_s / 1e9:,.0f} GB/s, {limits.matmul_flops_per_s / 1e12:,.1f} TFLOP/s"


def _state(result: Result, phase: str) -> str:
    found = [profile for profile in result.profiles if profile.phase == phase]
    return state(found[0]) if found else NOT_MEASURED


def _kv(memory: Memory) -> str:
    """The pool that was reserved and what was used of it; some engines reserve none."""
    pool, used = memory.kv_pool_bytes, memory.kv_used_bytes
    return f"{'none' if pool is None and used is not None else _gb(pool)}, {_gb(used)}"


def _energy(result: Result) -> str:
    energy = result.energy
    if energy is None:
        return NOT_MEASURED
    return f"{metrics.joules_per_token(energy):.2f} J/token, {metrics.mean_power_w(energy):.0f} W"


def is_random(result: Result) -> bool:
    return result.scenario.weights == "random" and result.scenario.engine != "fake"


def mean_std(result: Result) -> str:
    """ "17.42 ± 0.12": mean tokens/s and sample standard deviation; no ± for a single repetition."""
    spread = std(result)
    return mean(result) + ("" if spread == NOT_MEASURED else f" ± {spread}")


def speed_cell(result: Result) -> str:
    """ "17.42 [17.30, 17.54]": mean tokens/s and its 95% interval."""
    return f"{mean(result)} {interval(result)}" if result.valid_samples else NOT_MEASURED


def interval(result: Result) -> str:
    """ "[17.30, 17.54]": the 95% interval of the mean tokens/s; a single process has none."""
    found = speed_interval(result)
    return f"[{found.low:.2f}, {found.high:.2f}]" if found and found.low is not None else f"[{NOT_MEASURED}]"


def mean(result: Result) -> str:
    """ "17.42": mean tokens/s."""
    found = speed_interval(result)
    return _number(found and found.mean)


def std(result: Result) -> str:
    """ "5.31": sample standard deviation of all repetitions; none of a single one."""
    summary = summarize([sample.tokens_per_s for sample in result.valid_samples])
    return _number(summary and summary.std)


def counts(result: Result) -> str:
    """ "3 × 10" where each of three processes has ten valid repetitions, else "10 + 10 + 4"."""
    of_each = [len(speeds) for speeds in process_speeds(result)]
    if len(set(of_each)) == 1:
        return f"{len(of_each)} × {of_each[0]}"
    return " + ".join(map(str, of_each)) or "0"


def device_name(result: Result) -> str:
    """The GPU's name on CUDA; the processor's and the number of threads on the CPU."""
    facts = result.environment
    if result.scenario.device == "cuda":
        return facts.get("gpu_used", "cuda")
    threads = facts.get("torch_threads")
    return facts.get("cpu", "cpu") + (f", {threads} threads" if threads else "")


def peak_bytes(result: Result) -> int | None:
    """Peak memory of the device where the engine has one, else of the host's process."""
    on_gpu = result.scenario.device == "cuda"
    return result.memory.device_peak_bytes if on_gpu else result.memory.host_peak_bytes


def ms(seconds: float | None) -> str:
    """ "12.34 ms"."""
    return NOT_MEASURED if seconds is None else f"{1e3 * seconds:.2f} ms"


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.2f}"


def _gb(size: int | None) -> str:
    if size is None:
        return NOT_MEASURED
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"
