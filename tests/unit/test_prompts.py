"""Prompts of repetitions: other ones, of exactly as many tokens, the same for every engine."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import pytest

from bench_deepspeed.benchmarks.common.prompts import timed_prompts
from bench_deepspeed.benchmarks.common.scenario import PROMPT
from bench_deepspeed.core.errors import BenchError, UsageError
from bench_deepspeed.engines.base import Load, longest_prompt
from bench_deepspeed.measure.records import Run, Scenario
from bench_deepspeed.measure.stopping import MAX_WARMUPS
from bench_deepspeed.worker import prompts, tasks
from bench_deepspeed.worker.state import LoadedEngine, Worker


def count(text: str) -> int:
    """Tokens of a tokenizer that knows pieces of four characters, a space before a word included."""
    return sum(-(-len(piece) // 4) for piece in text.replace(" ", "\0 ").split("\0"))


@pytest.mark.parametrize("text", [PROMPT, "word other third " * 9])
def test_variants_are_different_and_have_as_many_tokens(text):
    made = prompts.variants(count, text, 12, seed=0)
    assert len({text, *made}) == 13
    assert {count(one) for one in made} == {count(text)}


def test_without_words_there_are_other_characters_and_hardly_fewer_tokens():
    text = "変圧器についての随筆を書いてください"
    made = prompts.variants(lambda text: 3 * len(text), text + "ab", 9, seed=0)
    assert len(made) == 9
    assert all(sorted(one) == sorted(text + "ab") for one in made)
    uneven = prompts.variants(lambda text: len(text.encode()), text, 9, seed=0)
    assert {len(one.encode()) for one in uneven} == {len(text.encode())}
    joined = prompts.variants(lambda text: len(text) + text.count("器に"), text, 9, seed=0)
    assert all(len(text) - 2 <= len(one) <= len(text) for one in joined)


def test_variants_have_the_same_words():
    assert all(sorted(one.split()) == sorted(PROMPT.split()) for one in prompts.variants(len, PROMPT, 9, seed=0))


def test_variants_depend_on_text_and_seed_and_not_on_how_many_are_wanted():
    made = prompts.variants(count, PROMPT, 30, seed=1)
    assert prompts.variants(count, PROMPT, 10, seed=1) == made[:10]
    assert set(prompts.variants(count, PROMPT, 10, seed=2)).isdisjoint(made)


@pytest.mark.parametrize("text", ["x", "aa", "no"])
def test_of_a_text_that_allows_few_there_are_few(text):
    made = prompts.variants(count, text, 50, seed=0)
    assert len(made) < 50


class Asked:
    """A worker in this process, with an engine that has no tokenizer."""

    def __init__(self):
        self.worker = Worker(lambda label, done, total: None)
        self.worker.use(LoadedEngine(type("Engine", (), {"tokenizer": None})(), "cpu", None))

    def call(self, function, *arguments):
        return function(self.worker, *arguments)


def scenario(prompt: str, varied: bool) -> Scenario:
    return Scenario("smollm2", "fake", "cpu", "float32", "random", prompt, 8, 1, 5, None, 0, varied=varied)


def test_a_users_own_prompt_stays_that_prompt():
    run = Run()
    warming, timed = timed_prompts(Asked(), scenario("mine", varied=False), run)
    assert {next(warming) for _ in range(99)} | {next(timed) for _ in range(99)} == {"mine"}
    assert run.prompts_sha256 is None


def test_each_generation_has_its_own_prompt_and_their_digest_is_kept():
    run = Run()
    warming, timed = map(list, timed_prompts(Asked(), scenario(PROMPT, varied=True), run))
    assert (len(warming), len(timed)) == (MAX_WARMUPS, 5)
    assert len({PROMPT, *warming, *timed}) == 1 + MAX_WARMUPS + 5
    assert run.prompts_sha256 == hashlib.sha256(json.dumps(timed).encode()).hexdigest()


def test_a_prompt_of_too_few_words_is_refused_and_says_what_to_do():
    with pytest.raises(BenchError, match="have 5 other orders of as many tokens, 40 are needed: use -p"):
        tasks.vary(Asked().worker, "one two three", 40, 0)


def test_a_prompt_without_a_token_is_refused_before_a_model_is_loaded(tmp_path):
    def tokenizer(text: str) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[1] * text.count("a"))

    def load(*texts: str) -> Load:
        return Load(None, "cpu", "float32", tmp_path, list(texts), 8)

    assert longest_prompt(tokenizer, load("aa", "a"), context_tokens=10) == 2
    with pytest.raises(UsageError, match="finds no token in the prompt"):
        longest_prompt(tokenizer, load("aa", "b"), context_tokens=10)
