"""Whether the timed generations computed the answers that they were timed for, asked right after them.

Are the tokens those that the model's logits prefer, were they there when the clock stopped, does a prompt that is new
take as long as the one that is repeated, and does the process rest then? docs/methodology.md, "Checks of what was
timed", says what each catches and what it cannot.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench_deepspeed.engines.base import Engine
from bench_deepspeed.measure.records import Audit

from .answered import read
from .state import Worker

POSITIONS = 1024
"""Tokens of an answer that are held against logits: these take 4 bytes times the vocabulary each."""
ANSWERS = 4
"""Different answers that are held against logits: an engine that gives another each time would double its time."""
NONE = 1e6  # logits; JSON has no infinity
NEW_PROMPTS = 2
WINDOW_S, WINDOWS, AT_REST = 0.05, 10, 2
"""OpenMP's threads may wait for more work in a loop for 0.2 s: the process gets more than that to come to rest."""
RESTING = 0.1  # of one CPU: less is no computation, also where others take most of the CPUs
SPINNING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Settings by which threads may never rest: then rest says nothing."""


def audit(worker: Worker, prompt: str, max_tokens: int) -> Audit | None:
    """Check the timed generations of that prompt so far. None for an engine that keeps no tokens, or read none."""
    engine, answered = worker.engine, worker.answers.get((prompt, max_tokens), [])
    given = [one.ids for one in answered if one.ids is not None]
    if engine.tokenizer is None or not given or len(given) < len(answered):
        return None
    different = [list(ids) for ids in dict.fromkeys(map(tuple, given))]
    new_s, repeated_s = [], []
    for text in new_prompts(engine, prompt):  # in turn: what slows the machine down meets both
        new_s.append(_seconds(worker, text, max_tokens))
        repeated_s.append(_seconds(worker, prompt, max_tokens))
    rest_s = _until_rest()
    gaps = _gaps(engine, engine.tokenizer(prompt).input_ids, [ids[:POSITIONS] for ids in different[:ANSWERS]])
    _give_back()
    return Audit(
        token_ids=different,
        given=[different.index(ids) for ids in given],
        gaps=gaps,
        read_s=max(one.read_s for one in answered),
        new_prompt_s=new_s,
        repeated_s=repeated_s,
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


def _gaps(engine: Engine, prompt_ids: list[int], answers: list[list[int]]) -> list[float]:
    """The largest gap of each answer in logits that the engine computes once more, after the prompt and its tokens.

    A token that is none of the vocabulary's, and an answer without any, is `NONE` logits away.
    """
    vocabulary = engine.logits(prompt_ids, prompt_ids[-1:]).shape[-1]
    return [
        largest_gap(engine.logits(prompt_ids, ids), ids) if ids and 0 <= min(ids) <= max(ids) < vocabulary else NONE
        for ids in answers
    ]


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


def _seconds(worker: Worker, prompt: str, max_tokens: int) -> float:
    """One more timed generation, reading its tokens included."""
    timed = worker.timed(worker.engine.generate, prompt, max_tokens)
    return timed.seconds + read(timed.result.ids).read_s


def _until_rest() -> float | None:
    """Seconds until this process uses hardly any CPU in two windows one after the other; None: in no two of ten.

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
    """Give the GPU back what the logits took: what is measured of memory next is the engine's."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
