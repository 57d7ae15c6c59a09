"""Whether the timed generations computed the answers that they were timed for, asked right after them.

Three questions, none of which trusts what the engine says of itself: are the tokens those that the model's logits
prefer, does a prompt that is new take as long as the one that was repeated, and does the process rest once the clock
has stopped? docs/methodology.md, "Checks of what was timed", says what each catches and what it cannot.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench_deepspeed.engines.base import Engine
from bench_deepspeed.measure.records import Audit

from .state import Worker

POSITIONS = 1024
"""Tokens of an answer that are held against logits: these take 4 bytes times the vocabulary each."""
NONE = 1e6  # JSON has no infinity
NEW_PROMPTS = 2
WINDOW_S, WINDOWS, PATIENCE_S = 0.05, 2, 0.5
"""OpenMP's threads may wait for more work in a loop for 0.2 s: the process gets more than that to come to rest."""
RESTING = 0.1  # of one CPU: less is no computation, also where others take most of the CPUs


def audit(worker: Worker, prompt: str, max_tokens: int) -> Audit | None:
    """Check the timed generations of that prompt so far. None for an engine that keeps no tokens, or read none."""
    engine = worker.engine
    given = [ids for key, ids in worker.answers if key == (prompt, max_tokens) and ids is not None]
    if engine.tokenizer is None or not given:
        return None
    different = [list(ids) for ids in dict.fromkeys(map(tuple, given))]
    prompt_ids = engine.tokenizer(prompt).input_ids
    fresh = [worker.timed(engine.generate, text, max_tokens).seconds for text in new_prompts(engine, prompt)]
    rest_s = _until_rest()
    return Audit(
        token_ids=different,
        given=[different.index(ids) for ids in given],
        gaps=[largest_gap(engine, prompt_ids, ids[:POSITIONS]) for ids in different],
        new_prompt_s=fresh,
        rest_s=rest_s,
    )


def largest_gap(engine: Engine, prompt_ids: list[int], answer: list[int]) -> float:
    """How far an answer's tokens are below the ones that the model prefers at their positions, at most, in logits.

    The logits are the engine's, computed anew after the prompt and the answer's tokens before. Of a greedy answer the
    gap is 0, or at a near-tie what two orders of summation leave. A token that is none of the vocabulary's, and an
    answer without any, is `NONE` logits away.
    """
    import torch

    if not answer or min(answer) < 0:
        return NONE
    logits = engine.logits(prompt_ids, answer)
    if max(answer) >= logits.shape[-1]:
        return NONE
    taken = logits.gather(1, torch.tensor(answer).unsqueeze(1)).squeeze(1)
    return float((logits.max(dim=-1).values - taken).max())


def new_prompts(engine: Engine, prompt: str) -> list[str]:
    """Other prompts of the same characters, turned round at several places, with as many tokens or a few less."""
    count = len(engine.tokenizer(prompt).input_ids)
    texts = []
    for n in range(1, NEW_PROMPTS + 1):
        place = n * len(prompt) // (NEW_PROMPTS + 1)
        text = prompt[place:] + prompt[:place]
        while len(engine.tokenizer(text).input_ids) > count:
            text = text[:-1]
        texts.append(text)
    return [text for text in texts if text and text != prompt]


def _until_rest() -> float | None:
    """Seconds until this process uses hardly any CPU; None where it has not come to rest after `PATIENCE_S`.

    In two windows one after the other: in a single one the machine may not have let it run.
    """
    started, at_rest = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < PATIENCE_S:
        used, begun = time.process_time(), time.perf_counter()
        time.sleep(WINDOW_S)
        resting = time.process_time() - used < RESTING * (time.perf_counter() - begun)
        at_rest = at_rest + 1 if resting else 0
        if at_rest == WINDOWS:
            return round(max(0.0, passed - WINDOW_S), 3)
    return None


def as_list(ids: Sequence[int] | None) -> list[int] | None:
    """Token ids as an engine has them, such as a tensor or a list of numbers of another kind, as a list."""
    if ids is None:
        return None
    as_numbers = getattr(ids, "tolist", None)
    return as_numbers() if as_numbers else [int(token) for token in ids]
