"""One result as one row: the same figures, in the same words, wherever a table is shown."""

from __future__ import annotations

from ..schema import Result
from ..stats import summarize

NOT_MEASURED = "not measured"


def figures(result: Result) -> dict[str, str]:
    """Column title → cell of one result."""
    scenario = result.scenario
    samples = result.valid_samples
    speed = summarize([sample.tokens_per_s for sample in samples])
    memory = _last_memory(result)
    return {
        "model": result.model.get("title", scenario.model) + (" (random weights)" if is_random(result) else ""),
        "engine": scenario.engine,
        "device": device_name(result),
        "precision": scenario.precision,
        "prompt + new tokens": f"{samples[0].prompt_tokens} + {scenario.max_tokens}" if samples else NOT_MEASURED,
        "tokens/s": mean_std(speed),
        "n": str(len(samples)),
        "median": _number(speed and speed.median),
        "min … max": f"{speed.minimum:.1f} … {speed.maximum:.1f}" if speed else NOT_MEASURED,
        "weights": _gb(memory.get("weights_bytes")),
        "peak memory": peak_memory(result, memory),
    }


def is_random(result: Result) -> bool:
    return result.scenario.weights == "random" and result.scenario.engine != "fake"


def mean_std(summary) -> str:
    """ "17.42 ± 0.12": mean and sample standard deviation; no ± for a single value."""
    if summary is None:
        return NOT_MEASURED
    return f"{summary.mean:.2f}" + (f" ± {summary.std:.2f}" if summary.std is not None else "")


def device_name(result: Result) -> str:
    """The GPU's name on CUDA; the processor's and the number of threads on the CPU."""
    facts = result.environment
    if result.scenario.device == "cuda":
        return facts.get("gpu_used", "cuda")
    threads = facts.get("torch_threads")
    return facts.get("cpu", "cpu") + (f", {threads} threads" if threads else "")


def peak_memory(result: Result, memory: dict) -> str:
    """Of the device where the engine has one, else of the host's process."""
    on_gpu = result.scenario.device == "cuda"
    return _gb(memory.get("device_peak_bytes" if on_gpu else "host_peak_bytes"))


def _last_memory(result: Result) -> dict:
    measured = [run.memory for run in result.runs if run.memory]
    return measured[-1] if measured else {}


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.2f}"


def _gb(size: int | None) -> str:
    return NOT_MEASURED if size is None else f"{size / 1e9:.2f} GB"
