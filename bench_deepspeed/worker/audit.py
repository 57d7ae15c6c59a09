"""Whether the timed generations computed their answers, checked right after them.

Are the tokens those that the model's logits prefer, were they there when the clock stopped, does a prompt that is new
take as long as one that is repeated, does the second half of an answer take as long as the first, and does the process
rest then? docs/method/bottleneck.md, "Checks of what was timed", says what each catches and what it cannot.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench_deepspeed.engines.base import Engine
from bench_deepspeed.measure.audits import doubtful
from bench_deepspeed.measure.records import Audit

from . import prompts
from .answered import read
from .latency import PREFILL_TOKENS
from .state import Worker

POSITIONS = 1024
"""Tokens of an answer that are compared with logits: these take 4 bytes times the vocabulary each."""
ANSWERS = 2
"""Different answers that are compared with logits, chosen at random after they were timed: without batching each takes
as long as a generation."""
NONE = 1e6  # logits; JSON has no infinity
MOST_RERUNS = 5
LONG_PROMPTS = 3
WINDOW_S, WINDOWS, AT_REST = 0.05, 10, 2
"""OpenMP's threads may wait for more work in a loop for 0.2 s: the process gets more than that to come to rest."""
RESTING = 0.1  # of one CPU: less is no computation, also where others take most of the CPUs
SPINNING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Settings by which threads may never rest: then rest says nothing."""


def audit(worker: Worker, max_tokens: int, seed: int) -> Audit | None:
    """Check the timed generations so far. None for an engine that keeps no tokens, or read none."""
    engine, answered = worker.engine, worker.answers
    if engine.tokenizer is None or not answered or any(one.ids is None for one in answered):
        return None
    given = [(one.prompt, tuple(one.ids or ())) for one in answered]
    different = list(dict.fromkeys(given))
    read_s = max(one.read_s for one in answered)
    times = _reruns(worker, max_tokens, seed)
    times |= _long_prompts(worker, answered[-1].prompt, max_tokens, seed)
    rest_s = _until_rest()
    checked = sorted(random.sample(range(len(different)), min(ANSWERS, len(different))))
    held = [different[index] for index in checked]
    gaps = [largest_gap_of(engine, engine.tokenizer(prompt).input_ids, ids) for prompt, ids in held]
    _give_back()
    return Audit(
        token_ids=[list(ids) for _, ids in different],
        given=[different.index(one) for one in given],
        checked=checked,
        gaps=gaps,
        read_s=read_s,
        **times,
        rest_s=rest_s,
        spins=any(name in os.environ for name in SPINNING),
    )


def largest_gap(logits: Any, tokens: Sequence[int]) -> float:
    """How far tokens are below the ones that the logits of their positions prefer, at most, in logits.

    `logits` is a tensor of shape (positions, vocabulary), one position for each token. Of a greedy answer the gap is 0,
    or at a near-tie what two orders of summation leave.
    """
    import torch

    taken = logits.gather(1, torch.tensor(list(tokens)).unsqueeze(1)).squeeze(1)
    return float((logits.max(dim=-1).values.double() - taken.double()).max())


def largest_gap_of(engine: Engine, prompt_ids: list[int], answer: Sequence[int]) -> float:
    """The largest gap of an answer in logits that the engine computes once more, after the prompt and its tokens.

    Of the first `POSITIONS` tokens. A token that is none of the vocabulary's, and an answer without any, is `NONE`
    logits away.
    """
    ids, vocabulary = list(answer[:POSITIONS]), engine.logits(prompt_ids, prompt_ids[-1:]).shape[-1]
    if not ids or min(ids) < 0 or max(ids) >= vocabulary:
        return NONE
    return largest_gap(engine.logits(prompt_ids, ids), ids)


def _reruns(worker: Worker, max_tokens: int, seed: int) -> dict[str, list[float]]:
    """Seconds of all tokens after the last timed prompt, interleaved with one, half and all after new prompts.

    The repeated prompt comes right after itself, since an engine may keep its last answer alone. Once, and again where
    these times would refute the timed ones: what slows the machine down for a moment is no evidence.
    """
    timed, count = [one.prompt for one in worker.answers], prompts.counter(worker.engine.tokenizer)
    texts = iter(prompts.variants(count, timed[-1], 3 * MOST_RERUNS, seed, timed))
    times: dict[str, list[float]] = {"repeated_s": [], "first_s": [], "half_s": [], "new_prompt_s": []}
    lengths = (max_tokens, 1, max(1, max_tokens // 2), max_tokens)
    for done, (one, half, whole) in enumerate(zip(texts, texts, texts, strict=False)):
        if done == MOST_RERUNS or (done and not doubtful(**times, tokens=max_tokens)):
            break
        if done:
            _seconds(worker, timed[-1], max_tokens)
        for name, text, tokens in zip(times, (timed[-1], one, half, whole), lengths, strict=True):
            times[name].append(_seconds(worker, text, tokens))
    return times


def _long_prompts(worker: Worker, prompt: str, max_tokens: int, seed: int) -> dict[str, list[float]]:
    """Seconds of one token after new prompts that are long, and, interleaved with them, after one that is repeated.

    As long as the cache has room for in any case: the prompt and the answer together.
    """
    count = prompts.counter(worker.engine.tokenizer)
    text = prompts.repeated(count, prompt, min(PREFILL_TOKENS, count(prompt) + max_tokens - 1))
    times: dict[str, list[float]] = {"long_new_s": [], "long_repeated_s": []}
    _seconds(worker, text, 1)
    for new in prompts.variants(count, text, LONG_PROMPTS, seed):
        times["long_new_s"].append(_seconds(worker, new, 1))
        times["long_repeated_s"].append(_seconds(worker, text, 1))
    return times


def _seconds(worker: Worker, prompt: str, max_tokens: int) -> float:
    """One more timed generation, reading its tokens included."""
    timed = worker.timed(worker.engine.generate, prompt, max_tokens)
    return timed.seconds + read(timed.result.ids)[1]


def _until_rest() -> float | None:
    """Seconds until this process uses hardly any CPU in two consecutive windows; None: in no two of ten.

    In a single one the machine may not have let it run.
    """
    at_rest = 0
    for window in range(WINDOWS):
        used, begun = time.process_time(), time.perf_counter()
        time.sleep(WINDOW_S)
        resting = time.process_time() - used < RESTING * (time.perf_counter() - begun)
        at_rest = at_rest + 1 if resting else 0
        if at_rest == AT_REST:
            return round((window + 1 - AT_REST) * WINDOW_S, 3)
    return None


def _give_back() -> None:
    """Free the GPU memory of the logits, so that later readings of memory are the engine's."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
