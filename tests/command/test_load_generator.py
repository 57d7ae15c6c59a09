"""The load generator against a real server of known behaviour over loopback. No speed is asserted."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import no_progress

from bench_deepspeed.benchmarks.load import latency, level_statistics
from bench_deepspeed.benchmarks.load import session as sessions
from bench_deepspeed.benchmarks.load.metrics import METRICS, LevelRow
from bench_deepspeed.benchmarks.load.records import Level, Workload
from bench_deepspeed.benchmarks.load.session import Session
from bench_deepspeed.benchmarks.load.targets.base import Setup
from bench_deepspeed.benchmarks.load.targets.kv_admission import KvAdmission
from bench_deepspeed.benchmarks.load.targets.stub import StubTarget
from bench_deepspeed.core.errors import BenchError, MachineError

NO_SLA = {"ttft_s": None, "tpot_s": None}


def setup(folder: Path, timeout_s: float = 30.0, port: int | None = None) -> Setup:
    return Setup("fake", None, "cpu", "float32", folder, 3, timeout_s, port)


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session with a stub of some behaviour, closed at the end."""
    opened = []

    def make(behaviour: dict, timeout_s: float = 30.0) -> Session:
        monkeypatch.setenv("BENCH_STUB", json.dumps({"first_s": 0.002, "gap_s": 0.001, **behaviour}))
        workload = Workload(2, 3, 0.0, 1.0, timeout_s, 0)
        opened.append(Session("stub", setup(tmp_path, timeout_s), workload, no_progress))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def check(level: Level) -> None:
    """What holds of every request that did not fail, however busy the machine is."""
    assert level.records
    for record in level.records:
        assert record.due_s <= record.sent_s <= record.first_s <= record.last_s
        assert record.first_s - record.sent_s >= 0.001999
        assert record.last_s - record.sent_s >= 0.003999
        assert record.new_tokens == record.max_tokens == 3


def test_an_open_loop_sends_what_is_due_whatever_comes_back(session):
    level = session({}).level(None, 60.0, 1.0)
    check(level)
    start_s, end_s = level.window_s
    assert start_s >= 0.2
    assert end_s - start_s >= 0.999
    assert max(record.due_s for record in level.records) < end_s + start_s
    assert len(level_statistics.due_in_window(level)) > 20
    assert level.tokens_in_window > 0


class Counting:
    """An energy counter that rises by 10 J with each look, until it cannot be read any more."""

    def __init__(self, looks: int):
        self._left, self._total = looks, 0.0

    def joules(self) -> float:
        if self._left == 0:
            raise BenchError("the GPU's energy counter cannot be read any more")
        self._left, self._total = self._left - 1, self._total + 10.0
        return self._total


def test_the_energy_of_a_level_is_over_all_that_it_sent(session, monkeypatch):
    monkeypatch.setattr(sessions, "_counter", lambda _: Counting(looks=3))
    opened = session({})
    level = opened.level(None, 60.0, 1.0)
    assert (level.energy.joules, level.energy.new_tokens) == (10.0, 3 * len(level.records))
    shown = LevelRow(SimpleNamespace(sla=NO_SLA), level)
    (energy,) = [metric for metric in METRICS if metric.name == "energy_j_per_token"]
    assert energy.value(shown) == 10.0 / (3 * len(level.records))
    assert opened.level(None, 60.0, 1.0).energy is None  # the counter is lost half-way: nothing measured is


def test_the_window_begins_when_the_loaded_latency_has_settled(session):
    """One at a time, four clients: alone a request takes 0.1 s, under load 0.4 s; the window waits for twice that."""
    level = session({"first_s": 0.1, "gap_s": 0.0, "at_once": 1}).level(4, None, 0.5)
    longest = max(map(latency.e2e, level.records))
    assert longest >= 0.399
    assert level.window_s[0] >= 0.79
    assert level.settled is True
    assert level.window_s[1] - level.window_s[0] >= 0.79  # longer than requested, since the requests are


def test_a_load_that_does_not_settle_has_a_window_all_the_same(session):
    """Ten times what the server can do: latency grows as fast as time passes."""
    level = session({"first_s": 0.1, "gap_s": 0.0, "at_once": 1}).level(None, 100.0, 0.2)
    assert level.settled is False
    assert level.window_s[0] == pytest.approx(0.8, abs=0.3)
    assert "latency had not settled after" in "; ".join(level_statistics.statistics_of(level, NO_SLA).remarks)


def test_tokens_that_come_at_once_are_a_chunk(session):
    level = session({"chunk": 3, "gap_s": 0.01}).level(1, None, 0.3)
    assert {record.chunks for record in level.records} == {"0x3"}


def test_a_closed_loop_has_as_many_under_way_as_there_are_clients(session):
    level = session({}).level(3, None, 1.0)
    check(level)
    assert level.most_in_flight == 3
    assert sum(record.due_s == 0.0 for record in level.records) == 3
    ends = sorted((record.sent_s, record.last_s) for record in level.records)
    for sent_s, _ in ends:
        assert sum(start <= sent_s < end for start, end in ends) <= 3


def test_a_trace_is_sent_at_its_times(session, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_STUB", "{}")
    trace = [(0.0, 2, 1), (0.1, 5, 3), (0.5, 1, 2)]
    traced = Session("stub", setup(tmp_path), Workload(None, None, 0.0, 1.0, 30.0, 0, trace=trace), no_progress)
    level = traced.level(None, None, 1.0)
    traced.close()
    assert [(r.due_s, r.prompt_tokens, r.new_tokens) for r in level.records] == trace
    assert len(level_statistics.due_in_window(level)) == 2


def test_a_server_that_stalls_shows_in_the_latency_of_all_that_were_due(session):
    """Coordinated omission: a generator that waited for the stalled request would send, and see, only one slow one."""
    stall_s = 0.6
    level = session({"at_once": 1, "stall_at": 40, "stall_s": stall_s}).level(None, 50.0, 2.0)
    slow = [record for record in level.records if latency.e2e(record) > stall_s / 2]
    assert len(slow) >= 8  # half of the stall at 50 requests a second is 15 arrivals
    assert max(latency.e2e(record) for record in slow) >= stall_s


def test_a_request_that_hangs_fails_and_the_others_do_not(session):
    level = session({"hang_at": 10}, timeout_s=1.0).level(None, 40.0, 1.0)
    failed = [record for record in level.records if record.error]
    assert [record.new_tokens for record in failed] == [0]
    assert "no answer within 1 s" in failed[0].error or "timed out" in failed[0].error
    assert len(level.records) > 20


def test_a_client_whose_request_hangs_goes_on(session):
    level = session({"hang_at": 5}, timeout_s=1.5).level(1, None, 2.0)
    assert sum(record.error is not None for record in level.records) == 1
    assert level.records[-1].error is None


def test_another_number_of_tokens_is_a_failure(session):
    level = session({"short_at": 10}).level(None, 40.0, 1.0)
    assert [r.error for r in level.records if r.error] == ["2 tokens came, 3 were requested"]


def test_a_server_that_dies_ends_the_level(session):
    one = session({"die_at": 10})
    with pytest.raises(BenchError, match="the stub server ended with code 1"):
        one.level(None, 20.0, 30.0)


def test_a_server_that_fails_at_once_is_reported_before_any_level(session):
    with pytest.raises(BenchError, match="the first requests: 2 tokens came, 3 were requested"):
        session({"short_at": 1}).warm_up()


def test_a_port_in_use_is_reported_with_the_remedy(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=f"port {port} is in use"):
            StubTarget().open(setup(tmp_path, port=port), no_progress)


def test_the_stub_listens_on_loopback_only(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_STUB", "{}")
    target = StubTarget()
    target.open(setup(tmp_path), no_progress)
    import psutil

    listening = [c.laddr.ip for c in psutil.Process(target._process.pid).net_connections() if c.status == "LISTEN"]
    target.close()
    assert listening == ["127.0.0.1"]


def test_what_warms_up_comes_in_no_level(tmp_path, monkeypatch):
    """A prefix cache would know it: not even the prompts of a file, which are sent as they are."""
    sent, send = [], StubTarget.send
    monkeypatch.setenv("BENCH_STUB", "{}")
    monkeypatch.setattr(StubTarget, "send", lambda self, asked: (sent.append(asked.prompt), send(self, asked))[1])
    workload = Workload(None, 1, 0.0, 1.0, 30.0, 0, prompts=["the first of a file", "the second of a file"])
    one = Session("stub", setup(tmp_path), workload, no_progress)
    one.warm_up()
    warmed = list(sent)
    one.level(1, None, 0.2)
    one.close()
    assert len(warmed) == 3
    assert {len(prompt.split()) for prompt in warmed} == {5}
    assert set(sent[3:]) == set(workload.prompts)
    assert not set(warmed) & set(workload.prompts)
    assert one.alone_s > 0


def test_a_target_knows_the_longest_request(tmp_path, monkeypatch):
    reported = []
    monkeypatch.setattr(StubTarget, "open", lambda _self, setup, _progress: reported.append(setup.tokens))
    trace = [(0.0, 5, 9), (0.1, 7, 2)]
    Session("stub", setup(tmp_path), Workload(None, None, 0.0, 1.0, 30.0, 0, trace=trace), no_progress)
    assert reported == [14]


def test_what_does_not_fit_into_the_kv_cache_is_not_sent(session):
    one = session({})
    one._target.kv_admission = KvAdmission(2, 64)  # each request takes a block
    level = one.level(4, None, 1.0)
    check(level)
    assert level.most_in_flight == 4
    assert level.waited_for_kv > 0
    assert any(
        "waited for room in the KV cache" in remark for remark in level_statistics.statistics_of(level, NO_SLA).remarks
    )
    assert session({}).level(4, None, 1.0).waited_for_kv is None


def test_no_room_in_time_is_a_failed_request(session):
    one = session({"first_s": 0.5}, timeout_s=0.2)
    one._target.kv_admission = KvAdmission(1, 64)
    errors = {record.error for record in one.level(2, None, 0.3).records}
    assert any(error and ("no room" in error or "no answer" in error or "timed out" in error) for error in errors)
