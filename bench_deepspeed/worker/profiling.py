"""Where the time of a decode step and of a prefill goes, measured in the worker.

Three separate passes, so that no profiler disturbs another: the worker's clock alone for the time of a
step, torch's profiler for what the device does in it, cProfile for what the host does. None of them looks
into the engine: a decode step is the difference between a generation of 1 + S tokens and one of 1 token.
"""

from __future__ import annotations

import cProfile
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

from bench_deepspeed.engines.base import Engine
from bench_deepspeed.measure.records import Prefill, Profile, Share

from .latency import PREFILL_TOKENS, TimedGenerate, prefill_prompt

DECODE_STEPS = {"cuda": 32, "cpu": 8}
"""Enough to average over, few enough for a small trace, which torch reads in Python: of a GPU ten thousand kernels for
a 7B model, of a CPU 7,000 operators a step of a small one, for which it takes 0.8 s."""
REPEATS = 5  # the median of an odd number of differences is one of them
HOST_FUNCTIONS = 20
# What Kineto reports on the GPU's time line while nothing runs there.
WAITS = {"Event Sync", "Stream Sync", "Context Sync", "Stream Wait Event", "Unknown Sync"}


@dataclass(frozen=True)
class Phase:
    """What is profiled: a generation of `tokens` tokens, less one of `base_tokens` (0: less nothing)."""

    name: str
    prompt: str
    tokens: int
    base_tokens: int

    @property
    def steps(self) -> int:
        return self.tokens - self.base_tokens


@dataclass
class Observed:
    """What a profiler recorded in one generation, by name; `busy_s` None: it could not see the device."""

    wall_s: float = 0.0
    busy_s: float | None = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, seconds: float, calls: int = 1) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.calls[name] += calls

    def shares(self, base: Observed, steps: int, scale: float = 1.0) -> list[Share]:
        """What a step took beyond `base`, the largest first. What was called as often in both belongs to no step."""
        called = {name: count - base.calls[name] for name, count in self.calls.items()}
        result = [
            Share(name, scale * (self.seconds[name] - base.seconds.get(name, 0.0)) / steps, count / steps)
            for name, count in called.items()
            if count > 0
        ]
        return sorted(result, key=lambda share: -share.seconds)


def profile(
    engine: Engine,
    generate: TimedGenerate,
    device: str,
    *,
    prompt: str,
    max_tokens: int,
    prefill: Prefill | None = None,
) -> list[Profile]:
    """Profile the decode steps after `prompt` and the prefill of a longer one.

    The engine must have been loaded for `max_tokens` after `prompt`, and with `latency.RESERVE_TOKENS`. With
    `max_tokens` 1 there is no decode step, and no profile of it. `prefill` is what `latency.prefill` measured in this
    process with PREFILL_TOKENS: that phase is then not timed once more.
    """
    decode, long = _phases(engine, device, prompt, max_tokens)
    timed = {phase: _step_time(generate, phase) for phase in decode}
    timed[long] = (prefill.prompt_tokens, statistics.median(prefill.seconds)) if prefill else _step_time(generate, long)
    _trace(generate, device, prompt, 1)  # the first trace includes set-up
    return [_profile_phase(engine, generate, device, phase, times) for phase, times in timed.items()]


def _phases(engine: Engine, device: str, prompt: str, max_tokens: int) -> tuple[list[Phase], Phase]:
    """The decode steps, if there are any, and the prefill."""
    steps = min(DECODE_STEPS[device], max_tokens - 1)
    decode = [Phase("decode", prompt, 1 + steps, 1)] if steps else []
    return decode, Phase("prefill", prefill_prompt(engine, prompt, PREFILL_TOKENS) or prompt, 1, 0)


def _profile_phase(
    engine: Engine, generate: TimedGenerate, device: str, phase: Phase, times: tuple[int, float]
) -> Profile:
    """The profile of a phase whose prompt's tokens and seconds of a step are `times`."""
    prompt_tokens, step_s = times
    base = _trace(generate, device, phase.prompt, phase.base_tokens)
    whole = _trace(generate, device, phase.prompt, phase.tokens)
    host_base = _host(engine, phase.prompt, phase.base_tokens)
    host = _host(engine, phase.prompt, phase.tokens)
    scale = _scale(device, step_s, (whole.wall_s - base.wall_s) / phase.steps)
    busy_s = _busy_time(whole, base, phase.steps, scale)
    if busy_s is None:
        print(f"profile of {phase.name}: the device's busy time is not measured: {_why_unknown(device)}")
    return Profile(
        phase=phase.name,
        device=device,
        prompt_tokens=prompt_tokens,
        steps=phase.steps,
        step_s=step_s,
        busy_s=busy_s,
        kernels=[] if busy_s is None or scale is None else whole.shares(base, phase.steps, scale),
        host_functions=host.shares(host_base, phase.steps)[:HOST_FUNCTIONS],
    )


def _step_time(generate: TimedGenerate, phase: Phase) -> tuple[int, float]:
    """The prompt's tokens, and the median over some pairs of generations of their difference ∕ steps, in seconds."""
    differences = []
    generate(phase.prompt, phase.tokens)  # the first generation of a new length includes set-up
    for _ in range(REPEATS):
        base_s = generate(phase.prompt, phase.base_tokens).seconds if phase.base_tokens else 0.0
        sample = generate(phase.prompt, phase.tokens)
        differences.append((sample.seconds - base_s) / phase.steps)
    return sample.prompt_tokens, statistics.median(differences)


def _scale(device: str, step_s: float, traced_step_s: float) -> float | None:
    """What turns a traced time into one of an untraced step; None where the steps are below the clock's noise.

    A GPU's kernels take as long with the profiler as without. On the CPU the profiler slows down what it
    measures, so that only an operator's share of the traced step is known, and step_s is shared out by it.
    """
    if device == "cuda":
        return 1.0
    return step_s / traced_step_s if min(step_s, traced_step_s) > 0 else None


def _busy_time(whole: Observed, base: Observed, steps: int, scale: float | None) -> float | None:
    """Busy seconds a step; None where the device was not seen, or where they are below the clock's noise."""
    if scale is None or whole.busy_s is None or base.busy_s is None or whole.busy_s < base.busy_s:
        return None
    return scale * (whole.busy_s - base.busy_s) / steps


def _why_unknown(device: str) -> str:
    if device == "cuda":
        return "the profiler saw nothing on the GPU; CUPTI may not be permitted (NVIDIA's ERR_NVGPUCTRPERM)"
    return "other work on the machine disturbed more than the steps took"


def _trace(generate: TimedGenerate, device: str, prompt: str, tokens: int) -> Observed:
    """One generation under torch's profiler: kernels and copies on CUDA, operators' own time on the CPU."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    if not tokens:
        return Observed()
    on_gpu = device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with torch_profile(activities=activities) as profiler:
        wall_s = generate(prompt, tokens).seconds
    device_events = [
        event for event in profiler.events() if event.device_type == (DeviceType.CUDA if on_gpu else DeviceType.CPU)
    ]
    return observed(device_events, on_gpu, wall_s)


def observed(events: Iterable[Any], on_gpu: bool, wall_s: float) -> Observed:
    """What the profiler's events (torch's FunctionEvents) of one device and one generation add up to."""
    work = [
        event
        for event in events
        if not event.is_user_annotation and event.name not in WAITS and (on_gpu or not event.is_async)
    ]
    busy_us = union_length((event.time_range.start, event.time_range.end) for event in work)
    seen = Observed(wall_s, None if on_gpu and not work else 1e-6 * busy_us)
    for event in work:
        own_us = event.time_range.elapsed_us() if on_gpu else event.self_cpu_time_total
        seen.add(event.name, 1e-6 * own_us)
    return seen


def union_length(intervals: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals (start, end): overlaps, as of kernels on two streams, count once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _host(engine: Engine, prompt: str, tokens: int) -> Observed:
    """One generation under cProfile: the functions of this thread by their own time."""
    seen = Observed()
    if not tokens:
        return seen
    engine.synchronize()
    profiler = cProfile.Profile()
    profiler.runcall(engine.generate, prompt, tokens)
    engine.synchronize()
    for entry in profiler.getstats():
        seen.add(function_name(entry.code), entry.inlinetime, entry.callcount)
    return seen


def function_name(code: CodeType | str) -> str:
    """`package/module.py:function` of what cProfile names; of what is compiled, its name without an address."""
    if isinstance(code, str):
        return re.sub(r" at 0x[0-9a-fA-F]+", "", code)
    name = getattr(code, "co_qualname", code.co_name)  # with the class's name from Python 3.11 on
    path = Path(code.co_filename)
    roots = [root for root in map(Path, sys.path) if root.is_absolute() and root in path.parents]
    return f"{path.relative_to(max(roots, key=lambda root: len(root.parts))) if roots else path.name}:{name}"
