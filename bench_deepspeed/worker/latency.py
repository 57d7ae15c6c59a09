"""Prefill and decode separately: the passes for latency, in the process of a loaded engine.

TTFT is the time to the first token, E2E that to the last, ITL each gap between two tokens that follow one
another, TPOT = (E2E - TTFT) / (n - 1) for n new tokens: the definitions of vLLM's benchmark.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines.base import Engine
from bench_deepspeed.measure.records import Latency, Prefill, Sample

from . import prompts

PASS_REPETITIONS = 3
PREFILL_TOKENS = 512
RESERVE_TOKENS = PREFILL_TOKENS + 1  # with the one that is generated
LABEL = "measuring latency"

TimedGenerate = Callable[[str, int], Sample]
"""The one timed generation: `tasks.generate` of a worker, as (prompt, max_tokens) → its sample."""


def measure(
    engine: Engine, generate: TimedGenerate, *, prompt: str, max_tokens: int, repetitions: int, progress: Progress
) -> Latency:
    """Times to the first and the last token, and between, in seconds. Raises BenchError on a wrong count.

    Where the engine streams, each token is timed as it arrives; else generations of one token are compared with
    generations of `max_tokens`.
    """
    if engine.streams:
        return _streamed(engine, prompt, max_tokens, repetitions, progress)
    return _differences(generate, prompt, max_tokens, repetitions, progress)


def _streamed(engine: Engine, prompt: str, max_tokens: int, repetitions: int, progress: Progress) -> Latency:
    warmups = 2 if engine.streams_in_own_process else 1  # a process of its own is cold, another only its stream
    total = warmups + repetitions
    latency = Latency("streamed", [], [], [])
    for done in range(total):
        progress(LABEL, done, total)
        gc.collect()  # as before every timed generation
        engine.synchronize()
        started = engine.clock()
        times = engine.stream(prompt, max_tokens, engine.clock).times
        _require(len(times), max_tokens)
        if done >= warmups:
            latency.ttft_s.append(_rounded(times[0] - started))
            latency.e2e_s.append(_rounded(times[-1] - started))
            latency.itl_s.append([_rounded(later - earlier) for earlier, later in itertools.pairwise(times)])
    progress(LABEL, total, total)
    return latency


def _differences(
    generate: TimedGenerate, prompt: str, max_tokens: int, repetitions: int, progress: Progress
) -> Latency:
    lengths = (1, max_tokens) if max_tokens > 1 else (1,)  # after one token, the first is the last
    seconds: dict[int, list[float]] = {length: [] for length in lengths}
    total = 1 + repetitions
    for done in range(total):
        progress(LABEL, done, total)
        for length in lengths:  # interleaved, so that drift affects both lengths alike
            taken = _seconds(generate, prompt, length)
            if done > 0:
                seconds[length].append(_rounded(taken))
    progress(LABEL, total, total)
    return Latency("difference", seconds[1], seconds[max_tokens], [])


def prefill(
    engine: Engine, generate: TimedGenerate, *, prompt: str, tokens: int, repetitions: int, seed: int
) -> Prefill | None:
    """Generations of one token after prompts of at most `tokens` tokens, or of what the context holds.

    Each has a prompt of its own with as many tokens, as far as the words of `prompt` allow. The engine must have been
    loaded with RESERVE_TOKENS. None for an engine without a tokenizer. Raises BenchError on a wrong count.
    """
    text = prefill_prompt(engine, prompt, tokens)
    if text is None:
        return None
    texts = itertools.cycle([text, *prompts.variants(prompts.counter(engine.tokenizer), text, repetitions, seed)])
    samples = [generate(next(texts), 1) for _ in range(1 + repetitions)][1:]  # the first warms up
    for sample in samples:
        _require(sample.new_tokens, 1)
    return Prefill(samples[0].prompt_tokens, [_rounded(sample.seconds) for sample in samples])


def prefill_prompt(engine: Engine, prompt: str, tokens: int) -> str | None:
    """The long prompt as the engine's context allows it; None for an engine without a tokenizer."""
    if engine.tokenizer is None or engine.context_tokens is None:
        return None
    return prompts.repeated(prompts.counter(engine.tokenizer), prompt, min(tokens, engine.context_tokens - 1))


def _seconds(generate: TimedGenerate, prompt: str, new_tokens: int) -> float:
    sample = generate(prompt, new_tokens)
    _require(sample.new_tokens, new_tokens)
    return sample.seconds


def _require(new_tokens: int, expected: int) -> None:
    if new_tokens != expected:
        raise BenchError(f"the engine generated {new_tokens} tokens, {expected} were requested")


def _rounded(seconds: float) -> float:
    """Rounded to the microsecond: finer digits are noise and enlarge the file."""
    return round(seconds, 6)
