"""Prefill and decode apart: the real SmolLM2 on the CPU, MII's real asynchronous pipeline, and the arithmetic."""

from __future__ import annotations

import pytest
from support import no_progress

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.engines.base import Streamed
from bench_deepspeed.engines.fake import FakeEngine
from bench_deepspeed.measure.records import Latency, Sample
from bench_deepspeed.worker import latency

PROMPT = "Write an essay about the transformer model architecture"


def scripted(*seconds: float, new_tokens: int | None = None):
    """A `generate` of known times, and the list of the lengths that were requested."""
    left, asked = list(seconds), []

    def generate(_prompt: str, max_tokens: int) -> Sample:
        asked.append(max_tokens)
        return Sample(left.pop(0), 3, new_tokens or max_tokens)

    return generate, asked


def test_an_engine_without_a_tokenizer_has_no_long_prompt():
    generate, asked = scripted()
    assert latency.prefill(FakeEngine(), generate, prompt=PROMPT, tokens=512, repetitions=2, seed=0) is None
    assert asked == []


def test_generations_of_one_token_and_of_many_take_turns():
    generate, asked = scripted(9.0, 9.0, 1.0, 4.0, 1.5, 5.5)
    seen = []
    measured = latency.measure(
        FakeEngine(),
        generate,
        prompt=PROMPT,
        max_tokens=4,
        repetitions=2,
        progress=lambda _label, done, total: seen.append((done, total)),
    )
    assert asked == [1, 4, 1, 4, 1, 4]
    assert measured == Latency("difference", [1.0, 1.5], [4.0, 5.5], [])
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_of_one_token_the_first_is_the_last():
    generate, asked = scripted(9.0, 0.1234567, 0.5)
    measured = latency.measure(FakeEngine(), generate, prompt=PROMPT, max_tokens=1, repetitions=2, progress=no_progress)
    assert asked == [1, 1, 1]
    assert measured == Latency("difference", [0.123457, 0.5], [0.123457, 0.5], [])


def test_another_number_of_tokens_is_an_error():
    generate, _ = scripted(*[0.1] * 8, new_tokens=3)
    with pytest.raises(BenchError, match="generated 3 tokens, 1 were requested"):
        latency.measure(FakeEngine(), generate, prompt=PROMPT, max_tokens=4, repetitions=1, progress=no_progress)


def test_a_stream_that_lost_a_token_is_an_error():
    class Lossy(FakeEngine):
        streams = True

        def stream(self, prompt, max_tokens, clock):
            return Streamed([clock() for _ in range(max_tokens - 1)], [])

    generate, _ = scripted()
    with pytest.raises(BenchError, match="generated 3 tokens, 4 were requested"):
        latency.measure(Lossy(), generate, prompt=PROMPT, max_tokens=4, repetitions=1, progress=no_progress)
