"""On what, with what and when something was measured, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping

from bench_deepspeed.measure.records import Environment

MAIN_PACKAGES = ("torch", "deepspeed", "deepspeed-mii", "transformers")  # those that results depend on most
NEEDED = ("packages", "cpu", "cpu_count", "system", "python", "suite")
NEEDED_ON_CUDA = ("gpus", "gpu_used", "driver_cuda", "torch_cuda")


def origin(environment: Environment, device: str, started_at: str) -> str:
    """The sentence; where the measurement ended before all of it was known, what is missing."""
    missing = lacking(environment, device)
    if missing is not None:
        return f"Measured on {started_at[:10]}; on what is not recorded in full: {missing!r} is missing."
    return _sentence(environment, device, started_at)


def lacking(environment: Environment, device: str) -> str | None:
    """The first fact that `origin` needs and the environment lacks; None where it has all."""
    needed = (*NEEDED_ON_CUDA, *NEEDED) if device == "cuda" else NEEDED
    missing = next((name for name in needed if getattr(environment, name) is None), None)
    if missing is None and device == "cuda" and _driver(environment) is None:
        return environment.gpu_used
    return missing


def _sentence(facts: Environment, device: str, started_at: str) -> str:
    gpu = f"{_gpu(facts)}; " if device == "cuda" else ""
    packages = ", ".join(f"{name} {facts.version(name) or 'not installed'}" for name in MAIN_PACKAGES)
    quota = f" of which {facts.cpu_quota:g} at once" if facts.cpu_quota else ""
    return (
        f"Measured on {started_at[:10]}: {gpu}{facts.cpu}, {facts.cpu_count} CPUs{quota}, {facts.system}; "
        f"Python {facts.python}, {packages}; suite {facts.suite}, commit {facts.commit or 'not recorded'}"
        f"{_command(facts.command)}."
    )


def _command(command: str | None) -> str:
    """The command as code; one that a document would show otherwise than it is stands in the JSON alone."""
    if command is None or set(command) & set("`<\n"):
        return ""
    return f"; `{command}`"


def _gpu(facts: Environment) -> str:
    """The GPU, its driver and the CUDA versions: the driver's, torch's and nvcc's, which may differ."""
    cuda = f"CUDA {facts.driver_cuda}, torch built with CUDA {facts.torch_cuda}, nvcc {facts.nvcc or 'none'}"
    return f"{facts.gpu_used}, driver {_driver(facts)} for {cuda}"


def _driver(facts: Environment) -> str | None:
    """The driver of the GPU that was measured; None where nvidia-smi did not list that GPU."""
    return next((gpu.driver for gpu in facts.gpus or [] if gpu.name == facts.gpu_used), None)


def environment_facts(facts: Mapping) -> dict[str, str]:
    """Each fact in words; lists and tables of facts in one line."""
    return {name.replace("_", " "): _words(value) for name, value in facts.items()}


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(map(_words, value)) or "none"
    return "not recorded" if value is None else str(value)
