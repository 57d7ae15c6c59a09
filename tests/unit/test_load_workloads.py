"""What is sent: traces of several formats, conversations, prompts that share a beginning, bursts and ramps."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
from builders import load as load_result
from builders import workload
from scipy import stats

from bench_deepspeed.benchmarks.load import arrivals, conversations, prompts, traces
from bench_deepspeed.benchmarks.load import view as load_view
from bench_deepspeed.benchmarks.load.generator import Plan
from bench_deepspeed.core.errors import UsageError

MOONCAKE = [
    {"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [7, 9, 4]},
    {"timestamp": 0, "input_length": 700, "output_length": 3, "hash_ids": [7, 9]},
    {"timestamp": 3000, "input_length": 600, "output_length": 2, "hash_ids": [2, 11]},
]
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
5,ChatGPT,400,0,400,API log
45.5,GPT-4,417,276,693,Conversation log
"""
AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-17 00:00:00,396,1
"""


def written(path: Path, content: str | list) -> Path:
    path.write_text(content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content))
    return path


def test_traces_of_all_formats_are_read(tmp_path):
    mooncake = traces.read(written(tmp_path / "m.jsonl", MOONCAKE))
    assert mooncake.rows == [(0, 1100, 5), (0, 700, 3), (3.0, 600, 2)]
    assert (mooncake.format, mooncake.blocks) == ("Mooncake", [[7, 9, 4], [7, 9], [2, 11]])
    burst = traces.read(written(tmp_path / "b.csv", BURSTGPT))
    assert (burst.format, burst.rows, burst.left_out) == ("BurstGPT", [(0, 472, 18), (40.5, 417, 276)], 1)
    azure = traces.read(written(tmp_path / "a.csv", AZURE))
    assert [row[0] for row in azure.rows] == pytest.approx([0, 4.314579, 20653.31941])
    assert (azure.format, azure.blocks) == ("Azure", None)
    first = traces.read(tmp_path / "a.csv", seconds=10)
    assert first.rows == azure.rows[:2]
    with pytest.raises(UsageError, match="1 arrivals over no time"):
        traces.read(tmp_path / "a.csv", seconds=1)


OWN = '{"arrival_s": %s, "prompt_tokens": 5, "output_tokens": 2}\n'
MALFORMED = {
    "none of them": (
        "t.jsonl",
        '{"when": 1}\n',
        "line 1: no trace of this suite (arrival_s, prompt_tokens, output_tok",
    ),
    "text": ("t.txt", "hello\n", "Mooncake (timestamp, input_length, output_length), BurstGPT (Timestamp, Request"),
    "conversations": ("t.json", '[{"conversations": []}]', "give them as --prompts, with --rates"),
    "negative": ("t.jsonl", OWN % -1, "line 1: arrival_s must be a number, 0 or more"),
    "duplicate": ("t.jsonl", OWN % 1 + OWN % 1, "line 2: arrival_s 1 is that of the one above: put them apart"),
    "unsorted": ("t.csv", BURSTGPT + "40,GPT-4,1,1,2,API log\n", "line 5: Timestamp 40 is before the one above"),
    "another format": ("t.jsonl", OWN % 1 + json.dumps(MOONCAKE[0]), "line 2: arrival_s, prompt_tokens, output_tokens"),
    "no date": ("t.csv", AZURE + "yesterday,1,1\n", "line 5: TIMESTAMP must be a time such as 2026-01-31 12:00:00.5"),
    "no whole number": ("t.csv", BURSTGPT + "99,GPT-4,1.5,1,2,API log\n", "line 5: Request tokens must be a whole num"),
    "blocks": ("t.jsonl", [MOONCAKE[0] | {"hash_ids": [1]}], "line 1: hash_ids must be 3 whole numbers, one for each"),
    "some blocks": (
        "t.jsonl",
        [MOONCAKE[0], {k: v for k, v in MOONCAKE[1].items() if k != "hash_ids"}],
        "line 2: hash_ids are missing here",
    ),
}


@pytest.mark.parametrize(("name", "content", "problem"), MALFORMED.values(), ids=MALFORMED)
def test_a_trace_that_is_none_is_refused_in_one_line(bench, tmp_path, name, content, problem):
    path = written(tmp_path / name, content)
    assert problem in bench.refusal(2, "load", "--target", "stub", "--trace", path)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--shared_prefix", "8", "--prompts", "p.txt"), "--shared_prefix is of prompts that are made"),
        (("--burstiness", "0.5"), "--burstiness is of request rates"),
        (("--ramp", "5", "--clients", "2"), "--ramp is of request rates"),
        (("--rates", "1", "--burstiness", "0"), "'0' is not a number from 0.01 to 100"),
        (
            ("--target", "sequential", "-d", "cpu", "--shared_prefix", "9000"),
            "9,032 prompt tokens and 8 new ones do not",
        ),
        (("--target", "stub", "--prompts", "empty.json"), "no conversation has a message of a user"),
        (("--target", "stub", "--prompts", "odd.json"), "line 2: a conversation is expected"),
    ],
)
def test_impossible_workloads_are_refused(bench, tmp_path, flags, problem):
    (tmp_path / "empty.json").write_text('[{"conversations": [{"from": "gpt", "value": "Hello"}]}]')
    (tmp_path / "odd.json").write_text('[{"conversations": []},\n{"id": 3}]')
    assert problem in bench.refusal(2, "load", *flags)


class Letters:
    """A stand-in for a tokenizer: a BOS, then a token a word."""

    def __call__(self, text: str):
        return SimpleNamespace(input_ids=[1, *text.split()])


def made(changes: dict, count: int, level: int = 1, shared: int = 0) -> list[prompts.Request]:
    source = prompts.Tokens(Letters(), 4096, seed=0)
    different = prompts.requests(workload(**changes), source)
    assert [one.prompt_tokens for one in different] == [source.count(one.prompt) for one in different]
    return list(itertools.islice(prompts.endless(different, source, level, shared), count))


def test_a_shared_prefix_is_all_that_prompts_share():
    sent = [
        one
        for level in (1, 2)
        for one in made({"prompt_tokens": 40, "max_tokens": 4, "shared_prefix": 100}, 600, level, 100)
    ]
    heads = {tuple(one.prompt.split()[:100]) for one in sent}
    tails = {tuple(one.prompt.split()[100 : 100 + prompts.HEAD]) for one in sent}
    assert (len(heads), len(tails)) == (1, len(sent))
    assert {len(one.prompt.split()) for one in made({"spread": 0.0, "shared_prefix": 100}, 9, 1, 100)} == {2699}
    with pytest.raises(UsageError, match="4090 prompt tokens and 60 new ones do not fit the model's context of 4096"):
        prompts.requests(workload(shared_prefix=1490), prompts.Tokens(Letters(), 4096, seed=0))


def test_blocks_of_a_trace_are_the_same_text_where_their_ids_are(tmp_path):
    trace = traces.read(written(tmp_path / "m.jsonl", MOONCAKE))
    lengths = {"prompt_tokens": None, "max_tokens": None}
    source = prompts.Tokens(Letters(), 4096, seed=0)
    asked = prompts.requests(workload(trace=trace.rows, trace_blocks=trace.blocks, **lengths), source)
    first, second, third = (one.prompt.split() for one in asked)
    assert [one.prompt_tokens for one in asked] == [1100, 700, 600]
    assert first[:699] == second
    assert first[: prompts.HEAD] != third[: prompts.HEAD]
    apart = prompts.requests(workload(trace=trace.rows, **lengths), source)
    assert len({tuple(one.prompt.split()[: prompts.HEAD]) for one in apart}) == 3


def conversation(*texts: str, first: str = "human") -> dict:
    speakers = itertools.cycle(("human", "gpt") if first == "human" else ("gpt", "human"))
    return {"id": "a", "conversations": [{"from": next(speakers), "value": text} for text in texts]}


def test_conversations_set_prompts_and_lengths(tmp_path):
    path = tmp_path / "sharegpt.json"
    some = [
        conversation("Hi there", "Hello to you", "Bye"),
        conversation("x"),
        conversation("A", "B b", "C c", first="gpt"),
    ]
    path.write_text(json.dumps(some))
    found = conversations.read(path)
    assert found == conversations.Prompts(["Hi there", "B b"], ["Hello to you", "C c"])


def test_answers_of_conversations_say_how_many_tokens_are_requested():
    files = {"prompts": ["one two", "three"], "answers": ["a b c", "d"], "prompt_tokens": None, "max_tokens": None}
    asked = prompts.requests(workload(**files), prompts.Tokens(Letters(), 4096, seed=0))
    assert [(one.prompt, one.prompt_tokens, one.max_tokens) for one in asked[:3]] == [
        ("one two", 3, 3),
        ("three", 2, 1),
        ("one two", 3, 3),
    ]
    many = prompts.requests(workload(prompts=[f"p {n}" for n in range(700)], prompt_tokens=None), prompts.Words())
    assert len({one.prompt for one in many}) == 700


def test_gaps_are_gamma_distributed_with_the_requested_burstiness():
    gaps = numpy.diff(list(itertools.islice(arrivals.arrivals(4.0, seed=1, burstiness=0.25), 20_000)))
    assert stats.kstest(gaps, stats.gamma(0.25, scale=1.0).cdf).pvalue > 0.01
    assert gaps.std() / gaps.mean() == pytest.approx(2.0, rel=0.1)
    assert arrivals.seconds_for(100, 1.0, 0.25) > arrivals.seconds_for(100, 1.0)


def test_a_ramp_rises_linearly_and_the_window_comes_after_it():
    times = numpy.array(list(itertools.islice(arrivals.arrivals(100.0, seed=1, ramp_s=20.0), 5000)))
    rising = times[times < 20.0]
    assert len(rising) == pytest.approx(1000, rel=0.1)  # half of what the whole rate brings
    assert stats.kstest(rising, lambda t: (t / 20.0) ** 2).pvalue > 0.01
    after = numpy.diff(times[times > 20.0])
    assert stats.kstest(after, stats.expon(scale=0.01).cdf).pvalue > 0.01
    plan = Plan(10.0, rate=100.0, ramp_s=20.0)
    assert plan.start_s(0.5, 99) == 20.0 + Plan(10.0, rate=100.0).start_s(0.5, 99)
    assert plan.start_s(0.5, 0) == 20.0 + plan.most_s


def test_what_a_prefix_cache_can_save_is_said():
    def lines(**changes) -> str:
        result = load_result()
        return " ".join(load_view.conclusions(dataclasses.replace(result, workload=result.workload | changes)))

    assert "prefix cache" not in lines()
    assert "all prompts begin with the same 1,024 tokens" in lines(shared_prefix=1024)
    assert "60% of the prompts' blocks came before" in lines(trace_blocks_shared=0.6)
    assert "8 prompts of a file made 21 requests: a prefix cache may" in lines(prompts=8)
    assert "prefix cache" not in lines(prompts=30)
    assert "3 requests of the trace without a prompt or an answer were not sent" in lines(trace_left_out=3)
    beyond = dataclasses.replace(load_result(), target=load_result().target | {"too_long": 2})
    assert "2 requests of the file longer than the model's context were not sent" in load_view.conclusions(beyond)
    assert re.search("gamma distributed, of shape 0.5", lines(burstiness=0.5))
