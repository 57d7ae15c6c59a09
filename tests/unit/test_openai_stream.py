"""What is read from the streams of a server of OpenAI's API, and what counts its tokens."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from builders import NO_SLA, level_of, request_record

from bench_deepspeed.benchmarks.load import token_counts
from bench_deepspeed.benchmarks.load.generator import InFlightRequest, Window
from bench_deepspeed.benchmarks.load.latency import record
from bench_deepspeed.benchmarks.load.level_statistics import statistics_of, tokens_in
from bench_deepspeed.benchmarks.load.records import Request, TokenCount
from bench_deepspeed.benchmarks.load.targets.base import RequestError
from bench_deepspeed.benchmarks.load.targets.event_stream import answer_of, message_of
from bench_deepspeed.benchmarks.load.targets.openai import OpenAiTarget

DONE = "data: [DONE]\n\n"


def event(**content) -> str:
    return f"data: {json.dumps(content)}\n\n"


def text(words: str, **more) -> str:
    return event(choices=[{"index": 0, "text": words, **more}])


def delta(**content) -> str:
    return event(choices=[{"index": 0, "delta": content}])


def reads(*pieces: str) -> list[tuple[float, bytes]]:
    """Each piece is read one second after the one before."""
    return [(float(second), piece.encode()) for second, piece in enumerate(pieces, 1)]


def test_a_chunk_is_an_event_with_text():
    usage = event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 5})
    answer = answer_of(reads(text("a b"), text(" c"), text("", finish_reason="length"), usage, DONE))
    assert answer.times == [1.0, 2.0]
    assert (answer.text, answer.tokens) == ("a b c", ["a", "b", "c"])
    assert (answer.usage_tokens, answer.prompt_tokens, answer.token_ids) == (5, 9, None)


def test_the_first_event_of_a_chat_has_only_a_role_and_is_no_token():
    first = delta(role="assistant", content="")
    answer = answer_of(reads(first, delta(content="a"), delta(reasoning_content="b"), delta(), DONE))
    assert (answer.times, answer.text) == ([2.0, 3.0], "ab")


def test_token_ids_are_counted_and_make_a_chunk_without_text_one():
    answer = answer_of(reads(text("a", token_ids=[7]), text("", token_ids=[8]), text("c", token_ids=[9, 10]), DONE))
    assert (answer.times, answer.tokens, answer.token_ids) == ([1.0, 2.0, 3.0], [7, 8, 9, 10], 4)


def test_an_event_has_the_time_of_its_last_byte_however_the_network_parts_it():
    whole = text("a") + text(" b") + DONE
    cut = len(text("a")) - 5
    answer = answer_of(reads(whole[:cut], whole[cut:]))
    assert (answer.times, answer.text) == ([2.0, 2.0], "a b")
    assert answer_of(reads(": ping\r\n\r\n", whole.replace("\n", "\r\n"))).times == [2.0, 2.0]


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([text("a"), text("b")], "the stream ended half-way: after 2 chunks"),
        ([text("[DONE]")], "the stream ended half-way: after 1 chunks"),
        ([], "the stream ended half-way: after 0 chunks"),
        ([text("", finish_reason="stop"), DONE], "an answer without text"),
        (["data: {half\n\n"], "an event that is not JSON: {half"),
        (["data: [1]\n\n"], "an event that is not an object of JSON"),
        ([text("a"), event(error={"message": "out of\nmemory"})], "an error in the stream: out of memory"),
        ([event(choices=["a"])], "an event of another form"),
        ([event(choices=7)], "an event of another form"),
    ],
)
def test_what_is_no_whole_stream_is_a_failed_request(pieces, words):
    with pytest.raises(RequestError) as failed:
        answer_of(reads(*pieces))
    assert str(failed.value).startswith(words)


def test_a_finish_reason_ends_a_stream_as_well():
    assert answer_of(reads(text("a", finish_reason="stop"))).times == [1.0]


@pytest.mark.parametrize("count", [-1, True, "5", None, 2.5])
def test_a_count_that_is_none_is_not_used(count):
    answer = answer_of(reads(text("a"), event(choices=[], usage={"completion_tokens": count}), DONE))
    assert answer.usage_tokens is None


def test_a_servers_message_is_short_and_on_one_line():
    assert message_of({"error": {"message": "a\nb"}}) == "a b"
    assert message_of({"detail": "no"}) == message_of({"error": "no"}) == message_of("no") == "no"
    assert len(message_of({"error": "x" * 999})) == 120


ASKED = Request("p", 40, 5)


def counted(*pieces: str, tokenizer: bool = False) -> TokenCount:
    """What counts an answer of these pieces; the tokenizer makes each letter a token."""
    target = OpenAiTarget()
    target._tokenizer = (lambda words, **_: SimpleNamespace(input_ids=list(words))) if tokenizer else None
    return target.counted(ASKED, answer_of(reads(*pieces, DONE)))


def test_tokens_are_counted_by_usage_else_by_token_ids_else_by_the_tokenizer():
    usage = event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 3})
    assert counted(text("ab", token_ids=[1, 2]), usage) == TokenCount(3, 9, "usage", None)
    assert counted(text("ab", token_ids=[1, 2])) == TokenCount(2, None, "token ids", None)
    assert counted(text("ab"), tokenizer=True) == TokenCount(2, 40, "tokenizer", 2)
    assert counted(text("ab"), usage, tokenizer=True) == TokenCount(3, 9, "usage", 2)


def flight(times: list[float], new: int) -> InFlightRequest:
    request = Request("p", 40, 5, 0.0)
    return InFlightRequest(request, 0.0, times, count=TokenCount(new, 9, "usage"), ended_s=times[-1])


def test_tokens_of_chunks_are_spread_evenly_over_them():
    """Four chunks of ten tokens in all, two of them in the window; and one token for each time."""
    window = Window(1.5, 3.5, 4.0)
    assert tokens_in([flight([1.0, 2.0, 3.0, 4.0], 10)], window) == 5
    assert tokens_in([flight([1.0, 2.0, 3.0], 3)], window) == 2


def test_where_a_chunk_is_not_a_token_there_is_no_itl_and_the_gap_of_chunks_is():
    records = [record(flight([0.5 + n, 0.6 + n, 0.8 + n], 6)) for n in range(10)]
    found = statistics_of(level_of(records, (0.0, 20.0), token_chunks=False), NO_SLA)
    assert found.latencies["itl"] == found.effective_per_s == {}
    assert found.latencies["chunk"][50].n == 20
    assert (found.chunk_tokens, found.answer_tokens) == (2.0, 6.0)
    assert "not each chunk was one token (2 on average): ITL is not measured" in found.remarks
    exact = statistics_of(level_of([record(flight([0.5, 0.6], 2))], (0.0, 20.0), token_chunks=True), NO_SLA)
    assert exact.latencies["itl"][50].n == 1


def test_tpot_is_over_the_tokens_and_not_over_the_chunks():
    kept = record(flight([0.5, 0.6, 1.0], 6))
    assert kept.new_tokens == 6
    assert statistics_of(level_of([kept], (0.0, 20.0)), NO_SLA).latencies["tpot"][50].n == 1
    assert (kept.last_s - kept.first_s) / (kept.new_tokens - 1) == pytest.approx(0.1)


def usage_record(new: int, **changes):
    return request_record(tokens=5, new_tokens=new, counted_by="usage", chunks="0 1 1 1 1", **changes)


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        (usage_record(5), False),
        (usage_record(4), True),  # five chunks with text came
        (usage_record(7, tokenizer_tokens=5), False),
        (usage_record(8, tokenizer_tokens=5), True),
        (usage_record(110, tokenizer_tokens=100), False),
        (usage_record(111, tokenizer_tokens=100), True),
        (usage_record(8, tokenizer_tokens=5, error="reset"), False),
    ],
)
def test_usage_that_contradicts_the_answer_is_marked(record, wrong):
    assert token_counts.contradicts(record) is wrong
    assert any("usage contradicts" in remark for remark in token_counts.remarks([record])) is wrong


def test_lengths_that_are_not_those_requested_are_said():
    (remark,) = token_counts.remarks([usage_record(5), usage_record(9)])
    assert remark == "1 of 2 answers have another length than requested: 9.0 tokens on average, 5.0 were requested"


def test_failures_are_counted_by_kind():
    errors = ["HTTP 429: slow down"] * 3 + ["no answer within 1 s"] * 2 + ["HTTP 500: a", "TLS: b"]
    records = [request_record(error=error) for error in errors] + [request_record()]
    assert token_counts.failures(records) == "3 × HTTP 429, 2 × no answer within 1 s, 1 × HTTP 500, …"
    assert token_counts.failures(records[:3]) == "HTTP 429: slow down"
