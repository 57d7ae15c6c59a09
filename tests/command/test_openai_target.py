"""`load --target openai` against a server of known behaviour in this process, over real sockets.

No speed is asserted.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from openai_stub import StubServer
from support import no_progress

from bench_deepspeed.benchmarks.load import latency
from bench_deepspeed.benchmarks.load.level_statistics import due_in_window, statistics_of
from bench_deepspeed.benchmarks.load.records import Level, Workload
from bench_deepspeed.benchmarks.load.session import Session
from bench_deepspeed.benchmarks.load.targets.base import Server, Setup
from bench_deepspeed.benchmarks.load.targets.http_connection import Response
from bench_deepspeed.core.errors import BenchError, MachineError, UsageError
from bench_deepspeed.core.ports import free_port

NO_SLA = {"ttft_s": None, "tpot_s": None}
KEY = "sk-0123456789-secret"


class Opened:
    """A session with a stub of some behaviour."""

    def __init__(
        self, folder: Path, *, api: str = "completions", timeout_s: float = 10.0, path: str = "/v1", **behaviour
    ):
        self.stub = StubServer(**{"first_s": 0.004, "gap_s": 0.002, **behaviour})
        server = Server(
            f"http://127.0.0.1:{self.stub.start()}{path}", api, "STUB_KEY" if "STUB_KEY" in os.environ else None
        )
        setup = Setup("openai", None, "remote", "as served", folder, 3, timeout_s, server=server)
        self.session = Session("openai", setup, Workload(4, 3, 0.0, 1.0, timeout_s, 0), no_progress)
        self.session.warm_up()

    def level(self, clients: int | None = 2, rate: float | None = None, seconds: float = 0.3) -> Level:
        return self.session.level(clients, rate, seconds)

    def close(self) -> None:
        self.session.close()
        self.stub.stop()


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Opens a session; all are closed at the end."""
    monkeypatch.delenv("STUB_KEY", raising=False)
    sessions = []

    def make(**settings) -> Opened:
        sessions.append(Opened(tmp_path, **settings))
        return sessions[-1]

    yield make
    for one in sessions:
        one.close()


def remarks(level: Level) -> str:
    return "; ".join(statistics_of(level, NO_SLA).remarks)


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_each_token_has_its_time_and_connections_are_kept(opened, api):
    one = opened(api=api)
    level = one.level(clients=None, rate=40.0, seconds=0.5)
    assert len(level.records) >= 4
    for record in level.records:
        assert record.due_s <= record.sent_s
        assert record.first_s - record.sent_s >= 0.003999
        assert record.last_s - record.sent_s >= 0.007999
        assert (record.new_tokens, record.prompt_tokens, record.counted_by, record.error) == (3, 7, "usage", None)
    assert level.token_chunks is True
    assert level.check.first_differences == [None] * 4
    assert one.stub.connections <= level.most_in_flight + 1
    asked = one.stub.asked[-1]
    assert (asked["ignore_eos"], asked["min_tokens"], asked["max_tokens"], asked["temperature"]) == (True, 3, 3, 0.0)
    assert ("messages" in asked) is (api == "chat")


def test_chunks_of_several_tokens_are_counted_by_usage_and_have_no_itl(opened):
    level = opened(chunk=2).level()
    assert level.token_chunks is False
    assert {record.new_tokens for record in level.records} == {3}
    assert {sum(number for _, number in latency.chunks_of(record)) for record in level.records} == {2}  # not tokens
    found = statistics_of(level, NO_SLA)
    assert found.latencies["itl"] == {}
    assert "not each chunk was one token (1." in remarks(level)


def test_token_ids_count_where_there_is_no_usage(opened):
    one = opened(usage=False, ids=True)
    level = one.level()
    assert {(r.new_tokens, r.counted_by, r.prompt_tokens) for r in level.records} == {(3, "token ids", None)}
    assert statistics_of(level, NO_SLA).effective_per_s[2] is None  # it takes the length of the prompt
    assert one.session.describe()["tokens_counted_by"] == "token ids"


def test_without_anything_that_counts_tokens_a_tokenizer_is_needed(opened):
    with pytest.raises(UsageError, match="nothing counts tokens: name the model's tokenizer with --tokenizer"):
        opened(usage=False)


def test_a_server_that_takes_no_field_for_lengths_gives_those_that_come(opened):
    one = opened(refuses=["ignore_eos", "min_tokens", "temperature"], natural=2)
    assert one.session.describe()["lengths"] == "as they come"
    assert one.session.describe()["fields"] == {"top_k": 1, "stream_options": {"include_usage": True}}
    level = one.level()
    assert {(record.new_tokens, record.error) for record in level.records} == {(2, None)}
    assert "answers have another length than requested: 2.0 tokens on average, 3.0 were requested" in remarks(level)


def test_a_server_that_samples_is_not_held_against_its_other_answers(opened):
    one = opened(random=True)
    assert one.session.describe()["answers_repeat"] is False
    assert one.level().check is None


def test_usage_that_lies_is_marked(opened):
    level = opened(usage_off=-1).level()
    assert {record.new_tokens for record in level.records} == {2}
    assert "usage contradicts" in remarks(level)


FAULTS = {
    "429": "HTTP 429: slow down (/v1/completions)",
    "redirect": "HTTP 307: text/plain in place of JSON (/v1/completions)",
    "html": "not JSON: /v1/completions answers text/html: <html><body>A proxy's page</body></html>",
    "error": "200 with an error: out of memory",
    "cut": "the stream ended half-way: after 1 chunks, without a finish reason or [DONE]",
    "close": "the server closed the connection before it answered",
    "hang": "no answer within 0.5 s",
    "no_json": "an event that is not JSON: {half",
    "stream_error": "an error in the stream: the engine died",
    "empty": "an answer without text: nothing to time",
}


def test_a_fault_fails_its_requests_and_the_server_is_measured_on(opened):
    one = opened(timeout_s=0.5)
    for fault, words in FAULTS.items():
        one.stub.behaviour["fault"] = fault
        level = one.level(clients=None, rate=30.0, seconds=0.1)
        assert {record.error for record in level.records} == {words}, fault
        assert words.partition(": ")[0] in remarks(level)
        assert level.check is None
    one.stub.behaviour["fault"] = None
    level = one.level(clients=None, rate=30.0, seconds=0.3)
    assert {record.error for record in due_in_window(level)} == {None}


def test_a_server_that_is_gone_ends_the_level(opened):
    one = opened()
    one.stub.behaviour["fault"] = "close"
    one.stub.stop()
    with pytest.raises(BenchError, match=r"http://127.0.0.1:\d+/v1 takes no connection any more: Connect"):
        one.level(clients=1, seconds=5.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"path": "/v2"}, "HTTP 404: text/html in place of JSON (/v2/models); check the path of --url"),
        ({"fault": "429"}, "HTTP 429: slow down (/v1/completions); see the server's own log"),
        ({"fault": "html"}, "not JSON: /v1/completions answers text/html"),
        ({"fault": "error"}, "200 with an error: out of memory; check that the server is up"),
        ({"fault": "close"}, "the server closed the connection before it answered; check that"),
        (
            {"key": KEY},
            "HTTP 401: wrong key: None (/v1/models); name the environment variable with its key with --api_key_env",
        ),
    ],
)
def test_what_is_no_server_of_the_api_is_found_before_anything_is_measured(opened, settings, words):
    with pytest.raises(MachineError) as refused:
        opened(**settings)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_key_is_sent_and_never_shown(opened, monkeypatch):
    monkeypatch.setenv("STUB_KEY", KEY)
    one = opened(key=KEY)
    assert KEY not in json.dumps(one.session.describe())
    with pytest.raises(MachineError) as refused:
        opened(key="another")  # the stub repeats the key that it got
    assert "wrong key: Bearer <key>" in str(refused.value)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("before", [0, 100, 110])
def test_a_key_that_a_server_repeats_is_hidden_before_its_message_is_cut(opened, monkeypatch, before):
    monkeypatch.setenv("STUB_KEY", KEY)
    client = opened(key=KEY).session._target._client
    said = json.dumps({"error": {"message": "x" * before + f" Bearer {KEY}"}}).encode()
    for body in (said, b"data: " + said + b"\n\n"):
        response = Response(200, {b"content-type": KEY.encode()}, [(0.0, body[:9]), (1.0, body[9:])])
        client._hide_key(response)
        assert KEY[:4] not in f"{response.text} {response.content_type}"


def test_no_server_and_tls_faults_are_said_in_a_line(tmp_path):
    stub = StubServer()
    refused = {
        f"http://127.0.0.1:{free_port()}/v1": "no connection: Connection refused",
        f"https://127.0.0.1:{stub.start()}/v1": "TLS: ",
    }
    for url, words in refused.items():
        setup = Setup("openai", None, "remote", "as served", tmp_path, 3, 10.0, server=Server(url, "completions"))
        with pytest.raises(MachineError) as found:
            Session("openai", setup, Workload(4, 3, 0.0, 1.0, 10.0, 0), no_progress)
        assert str(found.value).startswith(f"{url}: {words}")
    stub.stop()
