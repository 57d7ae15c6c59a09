"""The referee's truth and its scores, from schedules and logs that are known."""

from __future__ import annotations

import argparse
import dataclasses
import statistics

import pytest
from builders import referee

from bench_deepspeed.benchmarks.referee import scores, truth
from bench_deepspeed.benchmarks.referee.log import Served, Write
from bench_deepspeed.benchmarks.referee.plan import order_of, pending, resumed
from bench_deepspeed.benchmarks.referee.records import Settings
from bench_deepspeed.benchmarks.referee.schedule import Behaviour, Slots, Stall, draw
from bench_deepspeed.benchmarks.referee.scores import At
from bench_deepspeed.benchmarks.referee.tools import TOOLS
from bench_deepspeed.core.errors import UsageError

MANY = 400
ONE = Behaviour(first_s=0.1, gap_s=0.02, spread=0.0)


def served(received_s: float, *chunks: tuple[float, int], ending="whole") -> Served:
    """A request whose chunks were handed over so long after it had come."""
    writes = [Write(received_s + s, received_s + s, received_s + s, tokens) for s, tokens in chunks]
    return Served("", 0, 16, True, received_s, received_s, received_s, ending, writes)


def test_an_answer_follows_from_the_seed_and_its_number():
    drawn = [draw(Behaviour(), 3, number, 16) for number in range(MANY)]
    assert drawn == [draw(Behaviour(), 3, number, 16) for number in range(MANY)]
    assert drawn != [draw(Behaviour(), 4, number, 16) for number in range(MANY)]
    firsts = [answer.chunks[0][0] for answer in drawn]
    assert min(firsts) >= 0.075 and max(firsts) <= 0.125
    assert statistics.fmean(firsts) == pytest.approx(0.1, rel=0.02)


def test_tokens_that_come_together_take_the_time_of_each():
    answer = draw(Behaviour(first_s=0.1, gap_s=0.02, spread=0.0, chunks=(3,)), 0, 0, 8)
    assert [count for _, count in answer.chunks] == [3, 3, 2]
    assert [after_s for after_s, _ in answer.chunks] == pytest.approx([0.1, 0.16, 0.2])
    together = draw(Behaviour(bursts=1.0, spread=0.0), 0, 0, 4)
    assert {after_s for after_s, _ in together.chunks} == {0.1}


def test_one_answer_stops_once_and_for_as_long_as_it_is_to():
    behaviour = Behaviour(first_s=0.1, gap_s=0.02, spread=0.0, stalls_of_one=1.0, stall_of_one_s=0.5)
    for number in range(20):
        times = [after_s for after_s, _ in draw(behaviour, 0, number, 8).chunks]
        gaps = sorted(later - earlier for earlier, later in zip(times, times[1:], strict=False))
        assert gaps == pytest.approx([0.02] * 6 + [0.52])


def test_faults_come_as_often_as_they_are_to_and_not_at_the_start():
    behaviour = Behaviour(errors=0.3, cuts=0.2, shares=(0.5, 0.5), faults_from=10)
    endings = [draw(behaviour, 0, number, 16).ending for number in range(MANY)]
    assert set(endings[:10]) == {"short"}
    counts = [endings.count(ending) / MANY for ending in ("error", "cut", "short")]
    assert counts == pytest.approx([0.3, 0.2, 0.5], abs=0.07)
    assert {draw(behaviour, 0, number, 16).tokens for number in range(10)} == {8}


def test_a_server_that_stops_is_later_by_what_is_left_of_the_stop():
    stall = Stall(10.0, 2.0)
    assert [stall.worked_s(moment) for moment in (9.0, 10.0, 11.0, 12.0, 13.0)] == [9.0, 10.0, 10.0, 10.0, 11.0]
    assert [stall.moment_s(worked) for worked in (9.5, 10.0, 10.5)] == [9.5, 12.0, 12.5]


def test_who_comes_first_is_served_first():
    slots = Slots(2)
    assert [slots.take(arrived, 1.0) for arrived in (0.0, 0.0, 0.1, 0.2, 5.0)] == [0.0, 0.0, 1.0, 1.0, 5.0]
    assert Slots(None).take(3.0, 1.0) == 3.0


def test_each_definition_of_a_latency():
    request = served(5.0, (0.1, 2), (0.16, 3), (0.2, 1))
    found = {name: one.values(request, truth.from_send) for name, one in truth.LATENCIES.items()}
    assert found == {
        "ttft": pytest.approx([0.1]),
        "tpot": pytest.approx([0.1 / 5]),
        "tpot_after_chunk": pytest.approx([0.1 / 4]),
        "e2e_per_token": pytest.approx([0.2 / 6]),
        "itl": pytest.approx([0.02, 0.02, 0.02, 0.04]),
        "chunk_gap": pytest.approx([0.06, 0.04]),
        "token_gap": pytest.approx([0.0, 0.0, 0.0, 0.06, 0.04]),
        "e2e": pytest.approx([0.2]),
    }
    assert {truth.LATENCIES[name].metric for name in truth.FIRST} == {one.metric for one in truth.LATENCIES.values()}


def test_a_request_that_was_sent_late_was_due_before():
    """The third of four was held back by 0.3 s: its clock began when it was due."""
    requests = [served(came, (0.1, 1), (0.2, 1)) for came in (7.0, 7.1, 7.5, 7.3)]
    due = truth.from_due(requests, 10.0)
    assert [round(request.received_s - due(request), 6) for request in requests] == [0.0, 0.0, 0.2, 0.1]
    assert truth.latencies(requests, due)["ttft"]["p50"] == pytest.approx(0.15)
    assert truth.latencies(requests, truth.from_send)["ttft"]["p50"] == pytest.approx(0.1)


def test_failed_requests_are_in_no_latency_and_in_no_throughput():
    good, bad = served(0.0, (0.5, 4), (1.0, 4)), served(0.0, (9.0, 4), ending="cut")
    assert truth.latencies([good, bad], truth.from_send)["e2e"] == {"p50": 1.0, "p99": 1.0}
    assert truth.throughput([good, bad]) == 8.0
    assert truth.throughput_between([good], 0.4, 0.9) == 8.0


def test_each_repetition_has_all_that_can_be_run_in_an_order_of_its_own():
    settings = Settings(list(TOOLS), ["steady_1", "queue", "short"], 3, 0)
    order = order_of(settings)
    thirds = [order[start : start + 14] for start in (0, 14, 28)]  # llama-benchy has no rates
    cells = [[(visit.tool, visit.scenario) for visit in third] for third in thirds]
    assert len(order) == 42 and ("llama-benchy", "steady_1") not in cells[0]
    assert cells[0] != cells[1] and sorted(cells[0]) == sorted(cells[1]) == sorted(cells[2])
    assert order == order_of(settings)


def test_what_was_run_is_not_run_again_unless_it_failed():
    result = referee()
    assert pending(result) == []
    lost = result.runs.pop()
    assert [(visit.tool, visit.repetition) for visit in pending(result)] == [(lost.tool, lost.repetition)]


def test_a_saved_one_gets_more_repetitions_and_no_other_settings(tmp_path):
    file = tmp_path / "referee.json"
    referee().save(file)
    flags = argparse.Namespace(tools=None, scenarios=None, seed=None, repetitions=5)
    result = resumed(file, flags)
    assert result.settings.repetitions == 5
    assert len(pending(result)) == 6  # three more of both tools that can run it
    for name, other in (("repetitions", 1), ("seed", 7), ("tools", ["ours"])):
        with pytest.raises(UsageError, match=f"--{name}"):
            resumed(file, argparse.Namespace(**{**vars(flags), name: other}))


def test_a_tool_is_more_exact_where_the_intervals_do_not_overlap():
    result = referee()
    place = At("TTFT", "p50")
    assert scores.more_exact(scores.scores(result), place) == []
    off = {1: 1.2, 2: 1.21}
    result.runs = [
        dataclasses.replace(run, reported={"ttft": {"p50": 0.1 * (off[run.repetition] if run.tool == "ours" else 1.0)}})
        for run in result.runs
    ]
    ((score, ours),) = scores.more_exact(scores.scores(result), place)
    assert (score.tool, ours.tool) == ("aiperf", "ours")
    result.runs = result.runs[:2]  # one repetition has no interval
    assert scores.more_exact(scores.scores(result), place) == []


def test_an_error_is_over_the_truth_and_its_interval_over_the_runs():
    ours, aiperf, benchy = scores.scores(referee())
    assert ours.errors[At("TTFT", "p50")].mean == 0.0
    error = aiperf.errors[At("TTFT", "p99")]
    assert (error.mean, error.n) == (pytest.approx(0.1), 2)
    assert aiperf.errors[At("E2E", "p50")] is None
    assert aiperf.cpu_s.mean == pytest.approx(0.01)
    assert (benchy.runs, benchy.reason) == (0, "it has no request rates")
