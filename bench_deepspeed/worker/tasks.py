"""What every kind of benchmark has a worker do. Each function runs in the worker; its parent passes it to `call`."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench_deepspeed import weights
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Engine, Load, Streamed
from bench_deepspeed.machine import environment, limits
from bench_deepspeed.machine.probe import NoProbe, Probe
from bench_deepspeed.measure.records import (
    Audit,
    Energy,
    EngineDescription,
    Environment,
    Latency,
    Limits,
    Memory,
    Prefill,
    Profile,
    Sample,
)
from bench_deepspeed.model import catalog

from . import energy, latency, profiling, prompts, ranks
from .answered import Answered, read
from .audit import audit
from .state import LoadedEngine, Worker


@dataclass(frozen=True)
class Loaded:
    """What loading an engine took, in seconds, and what the engine reports of itself.

    `load_s` is without the seconds of building kernels and of compiling; these are None where there was none of it.
    """

    load_s: float
    kernel_build_s: float | None
    compile_s: float | None
    engine: EngineDescription


def prepare_weights(worker: Worker, models_dir: Path, model: str, want: weights.Want) -> weights.Prepared:
    """Make the weights ready; see `weights.prepare`."""
    return weights.prepare(models_dir, catalog.load(model), want, worker.progress)


def measure_limits(worker: Worker, device: str, precision: str, devices: int = 1) -> Limits:
    """What the device can do at most, or several; see `limits.measure`. For a worker without an engine."""
    require_device(device)
    return limits.measure(device, precision, worker.progress, devices)


def free_bytes(worker: Worker, device: str) -> int:
    """Free memory of the device. For a worker without an engine."""
    require_device(device)
    return limits.free_bytes(device)


def load(worker: Worker, engine: str, settings: Load) -> Loaded:
    """Load an engine for the calls that follow. Raises BenchError with what to do."""
    has_weights, size = engine_class(engine).form is not None, settings.tensor_parallel
    if has_weights:
        require_device(settings.device)
    loaded = engine_class(engine)()
    worker.keep(loaded)
    others = ranks.start(worker, loaded, engine, settings) if size > 1 else None
    built_s, started = loaded.kernel_build_s or 0.0, time.perf_counter()
    loaded.load(settings, worker.progress)
    loaded.synchronize()
    leading = loaded if others is None else others.lead(loaded)
    aside_s = (loaded.kernel_build_s or 0.0) - built_s + (loaded.compile_s or 0.0)
    load_s = time.perf_counter() - started - aside_s
    probe = Probe(settings.device, loaded.compilations, size) if has_weights else NoProbe()
    worker.use(LoadedEngine(leading, settings.device, probe))
    return Loaded(load_s, loaded.kernel_build_s, loaded.compile_s, _described(loaded, settings))


def _described(engine: Engine, settings: Load) -> EngineDescription:
    """The engine as it reports itself, and its ranks where there are several."""
    size, description = settings.tensor_parallel, engine.describe()
    if size == 1:
        return description
    names = environment.torch_devices(settings.device, size) if engine.form is not None else None
    return replace(description, tensor_parallel=size, collectives=engine.collectives(), rank_devices=names)


def generate(worker: Worker, prompt: str, max_tokens: int) -> Sample:
    """One timed generation."""
    timed = worker.timed(worker.engine.generate, prompt, max_tokens)
    worker.answers.append(Answered(prompt, *read(timed.result.ids)))
    tokens = timed.result.prompt_tokens, timed.result.new_tokens
    return Sample(timed.seconds, *tokens, timed.reading, timed.host_s)


def vary(worker: Worker, prompt: str, number: int, seed: int) -> list[str]:
    """Different prompts of as many tokens as that one; see `prompts.variants`. Raises BenchError for too few."""
    made = prompts.variants(prompts.counter(worker.engine.tokenizer), prompt, number, seed)
    if len(made) < number:
        raise BenchError(
            f"the prompt's words have {len(made)} other orders of as many tokens, {number} are needed: use -p"
        )
    return made


def check_timed(worker: Worker, max_tokens: int, seed: int) -> Audit | None:
    """Whether the timed generations so far, of so many tokens each, computed their answers; see `audit`."""
    return audit(worker, max_tokens, seed)


def stream(worker: Worker, prompt: str, max_tokens: int) -> Streamed:
    """Generate, and time each token by `time.perf_counter`: one clock for a machine's processes."""
    return worker.engine.stream(prompt, max_tokens, time.perf_counter)


def measure_latency(worker: Worker, prompt: str, max_tokens: int, repetitions: int) -> Latency:
    """Times to the first token and after it; see `latency.measure`."""
    return latency.measure(
        worker.engine,
        partial(generate, worker),
        prompt=prompt,
        max_tokens=max_tokens,
        repetitions=repetitions,
        progress=worker.progress,
    )


def measure_prefill(worker: Worker, prompt: str, tokens: int, repetitions: int, seed: int = 0) -> Prefill | None:
    """Times of one token after long prompts; see `latency.prefill`."""
    return latency.prefill(
        worker.engine, partial(generate, worker), prompt=prompt, tokens=tokens, repetitions=repetitions, seed=seed
    )


def measure_memory(worker: Worker, prompt: str, max_tokens: int) -> Memory:
    """One generation that is not timed, and the bytes by part at its peak."""
    engine = worker.engine
    engine.synchronize()
    engine.reset_memory_peak()
    engine.generate(prompt, max_tokens)
    engine.synchronize()
    return engine.memory()


def measure_energy(worker: Worker, prompt: str, max_tokens: int, seconds: float) -> Energy | None:
    """What generations draw, in parts of at least that many seconds; None where no counter can be read."""
    counter = energy.open_counter(worker.loaded.device, worker.loaded.probe.gpus)
    if counter is None:
        return None
    return energy.measure(worker.engine, counter, prompt, max_tokens, seconds)


def profile(worker: Worker, prompt: str, max_tokens: int, prefill: Prefill | None = None) -> list[Profile]:
    """Where the time of a decode step and of a prefill goes; see `profiling`."""
    return profiling.profile(
        worker.engine,
        partial(generate, worker),
        worker.loaded.device,
        prompt=prompt,
        max_tokens=max_tokens,
        prefill=prefill,
    )


def torch_facts(worker: Worker, device: str) -> Environment:
    """What torch reports of the machine; empty where this process has not imported torch."""
    return environment.torch_facts(device) if "torch" in sys.modules else Environment()


def software(worker: Worker) -> Environment:
    """The Python and the packages that this worker runs on."""
    return environment.software()


def require_device(device: str) -> None:
    """Refuse CUDA where torch cannot use it, before a library fails with an unclear message. Raises MachineError."""
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        build = torch.version.cuda or "none: this torch was built for the CPU"
        raise MachineError(
            f"torch {torch.__version__} cannot use the GPU (its CUDA: {build}): `bench.sh doctor` shows more"
        )
