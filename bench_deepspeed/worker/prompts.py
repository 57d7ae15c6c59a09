"""Other prompts with exactly as many tokens, so that an engine cannot save work by caching a prompt."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Collection
from typing import Any

TRIES = 50
"""Random orders that are tried for each prompt: nearly every order of the words has as many tokens."""
FEWEST_WORDS = 3
"""In a text of fewer different words the characters are shuffled instead."""
FEWER_TOKENS = 3
"""Such a text may be shorter by so many tokens: a character of another script is more than one token."""

Count = Callable[[str], int]
"""The tokens of a text."""


def counter(tokenizer: Any) -> Count:
    """How a Transformers tokenizer counts the tokens of a text; without one, words are tokens."""
    if tokenizer is None:
        return lambda text: len(text.split())
    return lambda text: len(tokenizer(text).input_ids)


def variants(count: Count, text: str, number: int, seed: int, others: Collection[str] = ()) -> list[str]:
    """Different texts, none of them `text` or one of `others`: its words in other orders, with exactly as many tokens.

    The same ones in the same order for the same tokenizer, text and seed, however many are wanted. There may be fewer
    than `number` of a text that is short, or is the same word over and over. Of a text without different words they
    are its characters in other orders, with as many tokens or a few less.
    """
    words, wanted, draw = text.split(), count(text), random.Random(f"prompts {seed} {text}")
    parts, between, least = words, " ", wanted
    if len(set(words)) < FEWEST_WORDS:
        parts, between, least = list(text), "", max(1, wanted - FEWER_TOKENS)
    found: dict[str, None] = {}
    for _ in range(TRIES * number):
        if len(found) == number:
            break
        made = cut(count, between.join(draw.sample(parts, len(parts))), wanted)
        if made.strip() and made not in (text, *others) and count(made) >= least:
            found[made] = None
    return list(found)


def cut(count: Count, text: str, tokens: int) -> str:
    """The beginning of a text that has `tokens` tokens, or the most that stay below."""
    if count(text) <= tokens:
        return text
    return text[: max(1, bisect_right(range(len(text) + 1), tokens, key=lambda length: count(text[:length])) - 1)]


def repeated(count: Count, text: str, tokens: int) -> str:
    """A text over and over, cut where it has `tokens` tokens, or the most that stay below."""
    text += " "
    copies = 1 + tokens // max(1, count(text) - 1)  # one token less: the first copy may contain a BOS
    return cut(count, text * copies, tokens)
