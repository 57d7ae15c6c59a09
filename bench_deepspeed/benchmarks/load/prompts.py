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
from .traces import BLOCK_TOKENS

HEAD = 4
"""Words that a prompt begins with and no other does; see `Tokens.text`."""
LEAST_WORDS = 32
"""So many different words make a million different heads."""
NUMBERS_A_LEVEL = 100_000
SHARED = NUMBERS_A_LEVEL - 1
"""The number of the words that all prompts share; no prompt has it."""
MOST_PROMPTS = 10_000
"""Prompts of a file that are used."""


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
    added = 0
    """Tokens that are put around every text, such as a BOS."""

    def count(self, text: str) -> int:
        return len(text.split())

    def words(self, number: int, count: int) -> list[str]:
        """So many words; another first one for another number."""
        return [f"{number}", *["word"] * (count - 1)][:count]

    def text(self, number: int, tokens: int, shared: int = 0) -> str:
        """A text of so many tokens, of which as many as are shared are those that every such text begins with."""
        return " ".join([*self.words(SHARED, shared), *self.words(number, max(1, tokens - shared - self.added))])


class Tokens(Words):
    """For a real model: words in a drawn order, each of which is one token of its tokenizer.

    Raises UsageError where the tokenizer has too few such words.
    """

    def __init__(self, tokenizer, context_tokens: int, seed: int):
        import numpy

        self.context_tokens = context_tokens
        self._tokenizer = tokenizer
        self.added = self.count("")
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
        return self.count(word) == self.added + 1 and self.count(f"a {word}") == self.count("a") + 1

    def count(self, text: str) -> int:
        return len(self._tokenizer(text).input_ids)

    def words(self, number: int, count: int) -> list[str]:
        """So many words. No two numbers below 32⁴, about a million, share all of their first four words.

        The head is the number in a numeral system whose digits are the words, the last digit first; what follows is a
        piece of the drawn words, elsewhere for each number. What is shorter than the head may come again.
        """
        base = len(self._words)
        head = [self._words[number // base**place % base] for place in range(min(HEAD, count))]
        first = (number * 37) % self.context_tokens
        return [*head, *self._drawn[first : first + count - len(head)]]


def requests(workload: Workload, source: Words) -> list[Request]:
    """The different requests of a workload, in their order, whether the context holds them or not; see `fitting`."""
    if workload.trace:
        sizes = [(prompt, output) for _, prompt, output in workload.trace]
        texts = _texts_of_trace(workload, source)
    elif workload.prompts:
        texts = _repeated(workload.prompts)
        sizes = _sizes_of_prompts(workload, source, len(texts))
    else:
        shared = workload.shared_prefix
        sizes = [(shared + prompt, new) for prompt, new in lengths(workload, source.context_tokens, DIFFERENT_REQUESTS)]
        texts = [source.text(number, prompt, shared) for number, (prompt, _) in enumerate(sizes)]
    return [
        Request(text, max(source.count(text), prompt), new) for text, (prompt, new) in zip(texts, sizes, strict=True)
    ]


def fitting(different: list[Request], workload: Workload, context_tokens: int) -> tuple[list[Request], Workload, int]:
    """The requests that the context holds, the workload of these alone, and how many of a recorded file it lacks.

    Raises UsageError where none fits, and for a request that does not fit where its length was chosen.
    """
    fits = [request.prompt_tokens + request.max_tokens <= context_tokens for request in different]
    if not all(fits) and not (workload.recorded and any(fits)):
        number = fits.index(False)
        raise UsageError(
            f"request {number + 1} has {different[number].prompt_tokens} prompt tokens and asks for "
            f"{different[number].max_tokens} more, but the model's context is {context_tokens}"
            f"{'; no request of the file fits' if workload.recorded else ''}"
        )
    kept = dataclasses.replace(
        workload,
        trace=workload.trace and list(itertools.compress(workload.trace, fits)),
        trace_blocks=workload.trace_blocks and list(itertools.compress(workload.trace_blocks, fits)),
    )
    of_file = fits[: len(workload.prompts)] if workload.prompts else fits
    return list(itertools.compress(different, fits)), kept, of_file.count(False)


def repeated_share(blocks: list[list[int]] | None) -> float | None:
    """The share of a trace's blocks that came before in it; None for a trace without blocks."""
    if blocks is None:
        return None
    every = [one for of_request in blocks for one in of_request]
    return round(1 - len(set(every)) / len(every), 4)


def _repeated(texts: list[str]) -> list[str]:
    """The texts of a file, repeated up to the number of requests whose lengths are drawn."""
    return [texts[number % len(texts)] for number in range(max(DIFFERENT_REQUESTS, min(len(texts), MOST_PROMPTS)))]


def _sizes_of_prompts(workload: Workload, source: Words, count: int) -> list[tuple[int, int]]:
    """(1, output tokens) of each prompt of a file: as long as its answer in the file, or as drawn."""
    if workload.answers is None:
        return lengths(dataclasses.replace(workload, prompt_tokens=1), source.context_tokens, count)
    return [(1, max(1, source.count(answer) - source.added)) for answer in _repeated(workload.answers)]


def _texts_of_trace(workload: Workload, source: Words) -> list[str]:
    """A text of each request: of its own, or of the blocks that it shares with others, by their ids.

    Blocks have the numbers of the only level: no prompt that is sent before it begins as one of them.
    """
    fitting = [min(prompt, source.context_tokens) for _, prompt, _ in workload.trace]
    if workload.trace_blocks is None:
        return [source.text(number, prompt) for number, prompt in enumerate(fitting)]
    numbers: dict[int, int] = {}
    for block in itertools.chain.from_iterable(workload.trace_blocks):
        numbers.setdefault(block, NUMBERS_A_LEVEL + len(numbers))
    return [
        " ".join(_words_of_blocks([numbers[block] for block in blocks], max(1, prompt - source.added), source))
        for blocks, prompt in zip(workload.trace_blocks, fitting, strict=True)
    ]


def _words_of_blocks(numbers: list[int], count: int, source: Words) -> list[str]:
    """So many words: those of each block in turn, of which the last may be cut."""
    words = itertools.chain.from_iterable(source.words(number, BLOCK_TOKENS) for number in numbers)
    return list(itertools.islice(words, count))


def endless(different: list[Request], source: Words | None, level: int, shared: int = 0) -> Iterator[Request]:
    """The requests round and round, each time with a new text of the same length, which no other level has either.

    All begin with the same `shared` tokens. `source` is None for texts that are sent as they are: those of a file, and
    those of a trace that says which of their blocks are the same.
    """
    for number in itertools.count():
        request = different[number % len(different)]
        if source is not None:
            text = source.text(level * NUMBERS_A_LEVEL + number, request.prompt_tokens, shared)
            request = dataclasses.replace(request, prompt=text)
        yield request
