"""The requests of a workload as texts, with their lengths as the model's own tokenizer counts them."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.core.errors import DAMAGE, UsageError
from bench_deepspeed.core.paths import QUESTIONS
from bench_deepspeed.core.text import one_line

from .arrivals import DIFFERENT_REQUESTS, lengths
from .records import Request, Workload

HEAD = 4
"""Words that a prompt begins with and no other does; see `Tokens.text`."""
LEAST_WORDS = 32
"""So many different words make a million different heads."""
NUMBERS_A_LEVEL = 100_000


def tokenizer_of(folder: Path):
    """The tokenizer of a local folder, without any code of its own. Raises UsageError where there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, *DAMAGE) as error:
        raise UsageError(f"{folder} has no tokenizer that Transformers reads: {one_line(str(error))[:120]}") from error


class Words:
    """For a target without a model: a word is a token."""

    context_tokens = 2**31

    def count(self, text: str) -> int:
        return len(text.split())

    def text(self, number: int, tokens: int) -> str:
        """A text of so many tokens; another first word for another number."""
        return " ".join([f"{number}", *["word"] * (tokens - 1)])


class Tokens:
    """For a real model: words in a drawn order, each of which is one token of its tokenizer.

    Raises UsageError where the tokenizer has too few such words.
    """

    def __init__(self, tokenizer, context_tokens: int, seed: int):
        import numpy

        self.context_tokens = context_tokens
        self._tokenizer = tokenizer
        self._added = self.count("")  # what the tokenizer puts around a text, such as a BOS
        words = dict.fromkeys(re.findall(r"[A-Za-z]+", " ".join(questions.load(QUESTIONS).prompts)))
        self._words = [word for word in words if self._is_one_token(word)]
        if len(self._words) < LEAST_WORDS:
            raise UsageError(
                f"the model's tokenizer has only {len(self._words)} of the words that prompts are made of as one token "
                f"each, and {LEAST_WORDS} are needed: give prompts of your own with --prompts"
            )
        drawn = numpy.random.default_rng([seed, 3]).integers(len(self._words), size=2 * context_tokens)
        self._drawn = [self._words[index] for index in drawn]

    def _is_one_token(self, word: str) -> bool:
        """At the start of a text and behind another word."""
        return self.count(word) == self._added + 1 and self.count(f"a {word}") == self.count("a") + 1

    def count(self, text: str) -> int:
        return len(self._tokenizer(text).input_ids)

    def text(self, number: int, tokens: int) -> str:
        """A text of so many tokens. No two numbers below 32⁴, about a million, share all of their first four words.

        The head is the number in a numeral system whose digits are the words, the last digit first; what follows is a
        piece of the drawn words, elsewhere for each number. A text that is shorter than the head may come again.
        """
        wanted = max(1, tokens - self._added)
        base = len(self._words)
        head = [self._words[number // base**place % base] for place in range(min(HEAD, wanted))]
        first = (number * 37) % self.context_tokens
        return " ".join([*head, *self._drawn[first : first + wanted - len(head)]])


def requests(workload: Workload, source: Words | Tokens) -> list[Request]:
    """The different requests of a workload, in their order. Raises UsageError for what the context cannot hold."""
    if workload.trace:
        sizes = [(prompt, output) for _, prompt, output in workload.trace]
        texts = [source.text(number, min(prompt, source.context_tokens)) for number, (prompt, _) in enumerate(sizes)]
    elif workload.prompts:
        sizes = lengths(dataclasses.replace(workload, prompt_tokens=1), source.context_tokens, DIFFERENT_REQUESTS)
        texts = [workload.prompts[number % len(workload.prompts)] for number in range(DIFFERENT_REQUESTS)]
    else:
        sizes = lengths(workload, source.context_tokens, DIFFERENT_REQUESTS)
        texts = [source.text(number, prompt) for number, (prompt, _) in enumerate(sizes)]
    different = [Request(text, source.count(text), new) for text, (_, new) in zip(texts, sizes, strict=True)]
    for number, (request, (prompt, _)) in enumerate(zip(different, sizes, strict=True), start=1):
        if max(request.prompt_tokens, prompt) + request.max_tokens > source.context_tokens:
            raise UsageError(
                f"request {number} has {max(request.prompt_tokens, prompt)} prompt tokens and asks for "
                f"{request.max_tokens} more, but the model's context is {source.context_tokens}"
            )
    return different


def endless(different: list[Request], source: Words | Tokens | None, level: int) -> Iterator[Request]:
    """The requests round and round, each time with a new text of the same length, which no other level has either.

    `source` is None for prompts of a file, which are sent as they are.
    """
    for number in itertools.count():
        request = different[number % len(different)]
        if source is not None:
            text = source.text(level * NUMBERS_A_LEVEL + number, request.prompt_tokens)
            request = dataclasses.replace(request, prompt=text)
        yield request
