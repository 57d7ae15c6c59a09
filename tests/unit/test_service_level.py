"""Goodput and FastGen's effective throughput, each by its published formula."""

from __future__ import annotations

import numpy
import pytest
from builders import NO_SLA
from builders import level_of as level
from builders import request_record as record

from bench_deepspeed.benchmarks.load import latency, level_statistics, service_level
from bench_deepspeed.benchmarks.load.generator import InFlightRequest
from bench_deepspeed.benchmarks.load.records import Request


def test_the_plain_service_level():
    made = record(first_s=0.5, gap_s=0.1)
    assert service_level.meets(made, {"ttft_s": 0.5, "tpot_s": 0.10001})
    assert not service_level.meets(made, {"ttft_s": 0.4999, "tpot_s": None})
    assert not service_level.meets(made, {"ttft_s": None, "tpot_s": 0.0999})
    assert service_level.meets(record(tokens=1), {"ttft_s": 1.0, "tpot_s": 0.001})
    at_once = record(gap_s=0.0)  # as a server that buffers its answers sends them
    assert at_once.new_tokens > 1
    assert latency.tpot(at_once) is None
    assert not service_level.meets(at_once, {"ttft_s": 9.0, "tpot_s": 9.0})
    assert not service_level.meets(record(error="no answer"), {"ttft_s": 9.0, "tpot_s": 9.0})
    assert not service_level.meets(record(error="no answer", last_s=None, first_s=1e3), NO_SLA)


def test_goodput_is_of_what_ended_and_never_above_the_throughput():
    """Overload: what is due in the window is more than what ends in it, and all of it is good."""
    records = [record(2.0 + n / 10, first_s=0.5 + n / 20, tokens=1) for n in range(100)]
    found = level_statistics.statistics_of(level(records), {"ttft_s": 9.0, "tpot_s": None})
    assert (found.due, found.offered_per_s, found.sla_share) == (100, 10.0, 1.0)
    assert found.goodput_per_s == found.requests_per_s < found.offered_per_s
    half = level_statistics.statistics_of(level(records), {"ttft_s": 2.0, "tpot_s": None})
    ended = [one for one in records if one.last_s < 12.0]
    assert half.goodput_per_s == sum(latency.ttft(one) <= 2.0 for one in ended) / 10.0
    assert half.sla_share == sum(latency.ttft(one) <= 2.0 for one in records) / 100


def test_fastgens_service_level():
    meets = service_level.meets_fastgen
    assert meets(record(first_s=1.0, gap_s=0.24), 4)  # 512 prompt tokens may take one second
    assert not meets(record(first_s=1.001, gap_s=0.24), 4)
    assert not meets(record(first_s=1.0, gap_s=0.26), 4)
    assert meets(record(first_s=1.0, gap_s=0.26), 2)
    assert meets(record(first_s=1.0, tokens=1), 6)
    assert not meets(record(error="no answer"), 2)


def by_fastgens_script(requests: list[dict], tokens_per_s: float) -> float:
    """What plot_effective_throughput.py computes, with its defaults: 512 prompt tokens a second, a span of 16."""

    def within(one: dict) -> bool:
        first, *gaps = one["token_gen_time"]
        if one["prompt_tokens"] / 512 < first:
            return False
        weights = (1 - 2 / 17) ** numpy.arange(len(gaps))
        averages = [numpy.dot(weights[: n + 1][::-1], gaps[: n + 1]) / weights[: n + 1].sum() for n in range(len(gaps))]
        return all(average < 1 / tokens_per_s for average in averages)

    start, end = min(one["start_time"] for one in requests), max(one["end_time"] for one in requests)
    return len(requests) / (end - start) * (sum(map(within, requests)) / len(requests))


@pytest.mark.parametrize("tokens_per_s", [2, 4, 6])
def test_effective_throughput_is_that_of_fastgens_script(tokens_per_s):
    rng = numpy.random.default_rng(4)
    theirs, ours = [], []
    for start in numpy.cumsum(rng.exponential(0.3, size=60)):
        prompt_tokens = int(rng.integers(100, 900))
        times = [float(rng.uniform(0.3, 2.0)), *(rng.uniform(0.2, 1.5) * rng.gamma(2.0, 0.1, size=30)).tolist()]
        moments = (start + numpy.cumsum(times)).tolist()
        theirs.append({"prompt_tokens": prompt_tokens, "token_gen_time": times, "start_time": start})
        theirs[-1]["end_time"] = moments[-1]
        request = Request("", prompt_tokens, len(times), due_s=float(start) - 0.1)  # due: the script knows none
        ours.append(latency.record(InFlightRequest(request, float(start), moments)))
    expected = by_fastgens_script(theirs, tokens_per_s)
    assert 0 < expected < by_fastgens_script(theirs, 0.01)
    assert service_level.effective_throughput(ours, tokens_per_s) == pytest.approx(expected, rel=1e-4)
    failed = record(5.0, error="reset", first_s=1e3)
    assert service_level.effective_throughput([*ours, failed], tokens_per_s) == pytest.approx(expected, rel=1e-4)
    assert service_level.effective_throughput([failed], tokens_per_s) is None
