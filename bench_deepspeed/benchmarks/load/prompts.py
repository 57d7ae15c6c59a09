"""The requests of a workload as texts, with their lengths as the model's own tokenizer counts them."""

from __future__ import annotations

import dataclasses

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.paths import QUESTIONS

from .arrivals import DIFFERENT_REQUESTS, lengths
from .records import Request, Workload


class Words:
    """For a target without a model: a word is a token."""

    context_tokens = 2**31

    def count(self, text: str) -> int:
        return len(text.split())

    def cut(self, number: int, tokens: int) -> str:
        """A text of so many tokens; another one for another number."""
        return " ".join([f"{number}", *["word"] * (tokens - 1)])


class Tokens:
    """For a real model: pieces of a long text, cut between two of its tokens."""

    def __init__(self, tokenizer, context_tokens: int):
        self.context_tokens = context_tokens
        self._tokenizer = tokenizer
        text = " ".join(questions.load(QUESTIONS).prompts) + " "
        self._added = self.count("")  # what the tokenizer puts around a text, such as a BOS
        self._text = text * (2 + 2 * context_tokens // max(1, self.count(text) - self._added))
        encoded = tokenizer(self._text, return_offsets_mapping=True, add_special_tokens=False)
        self._starts = [start for start, _ in encoded["offset_mapping"]]

    def count(self, text: str) -> int:
        return len(self._tokenizer(text).input_ids)

    def cut(self, number: int, tokens: int) -> str:
        """A text of so many tokens, or a few less: cut out, the first and the last may become one with others."""
        wanted = max(1, tokens - self._added)
        first = (number * 37) % (len(self._starts) - wanted)  # elsewhere each time: no two need have a prefix in common
        text = self._text[self._starts[first] : self._starts[first + wanted]]
        while self.count(text) > tokens and len(text) > 1:
            text = text[:-1]
        return text


def requests(workload: Workload, source: Words | Tokens) -> list[Request]:
    """The different requests of a workload, in their order. Raises UsageError for what the context cannot hold."""
    if workload.trace:
        sizes = [(prompt, output) for _, prompt, output in workload.trace]
        texts = [source.cut(number, min(prompt, source.context_tokens)) for number, (prompt, _) in enumerate(sizes)]
    elif workload.prompts:
        sizes = lengths(dataclasses.replace(workload, prompt_tokens=1), source.context_tokens, DIFFERENT_REQUESTS)
        texts = [workload.prompts[number % len(workload.prompts)] for number in range(DIFFERENT_REQUESTS)]
    else:
        sizes = lengths(workload, source.context_tokens, DIFFERENT_REQUESTS)
        texts = [source.cut(number, prompt) for number, (prompt, _) in enumerate(sizes)]
    different = [Request(text, source.count(text), new) for text, (_, new) in zip(texts, sizes, strict=True)]
    for number, (request, (prompt, _)) in enumerate(zip(different, sizes, strict=True), start=1):
        if max(request.prompt_tokens, prompt) + request.max_tokens > source.context_tokens:
            raise UsageError(
                f"request {number} has {max(request.prompt_tokens, prompt)} prompt tokens and asks for "
                f"{request.max_tokens} more, but the model's context is {source.context_tokens}"
            )
    return different
