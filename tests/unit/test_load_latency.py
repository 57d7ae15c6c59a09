"""The times of one request: its chunks, its latencies, and that a failed one has no end."""

from __future__ import annotations

import math

import numpy
import pytest
from builders import level_of, request_record

from bench_deepspeed.benchmarks.load import latency, level_statistics
from bench_deepspeed.benchmarks.load.generator import InFlightRequest
from bench_deepspeed.benchmarks.load.records import Record, Request


def kept(times: list[float], max_tokens: int | None = None, error: str | None = None) -> Record:
    flight = InFlightRequest(Request("", 1, max_tokens or len(times), 1.0), 1.0, times, error)
    return latency.record(flight)


def test_a_request_is_kept_as_it_came():
    made = kept([11.5, 12.5])
    assert (made.due_s, made.first_s, made.last_s, made.new_tokens, made.slowest_ema_s) == (1.0, 11.5, 12.5, 2, 1.0)
    assert made.chunks == "0 1000000"
    assert latency.itl(made) == [1.0]
    assert kept([]).chunks == ""


def test_bursts_have_the_gap_between_them_divided_over_their_tokens():
    """Eight at once every 80 ms: the gaps within a burst are no latency, and the median is not zero."""
    times = [2.0 + 0.08 * burst + 1e-5 * token for burst in range(5) for token in range(8)]
    made = kept(times)
    assert made.chunks == "0x8 80000x8 80000x8 80000x8 80000x8"
    assert latency.itl(made) == pytest.approx([0.01] * 32)
    assert latency.tpot(made) == pytest.approx((times[-1] - times[0]) / 39)
    found = level_statistics.statistics_of(level_of([made] * 40, (0.0, 10.0)), {"ttft_s": None, "tpot_s": None})
    assert found.latencies["itl"][50].value == pytest.approx(0.01)
    assert found.latencies["chunk"][50].value == pytest.approx(0.08)
    assert found.chunk_tokens == 8.0
    assert "tokens came in chunks of 8" in found.remarks[-1]


def test_tokens_that_follow_closely_are_not_all_one_chunk():
    """Half a millisecond apart: chunks of two, and ITL is right on average."""
    made = kept([1.0 + 0.0005 * n for n in range(101)])
    gaps = latency.itl(made)
    assert len(gaps) == pytest.approx(100, abs=2)
    assert numpy.mean(gaps) == pytest.approx(0.0005, rel=0.05)


def test_itl_adds_up_to_the_time_after_the_first_chunk():
    times = numpy.cumsum(numpy.random.default_rng(0).exponential(0.02, size=200)).tolist()
    made = kept(times)
    assert sum(latency.itl(made)) == pytest.approx(times[-1] - times[0], rel=0.01)


def test_a_failed_request_is_infinite():
    made = kept([1.5, 1.6], max_tokens=5, error="reset")
    assert latency.e2e(made) == latency.ttft(made) == latency.tpot(made) == math.inf
    assert latency.itl(made) == [pytest.approx(0.1), math.inf, math.inf, math.inf]
    assert latency.tpot(kept([], max_tokens=1, error="reset")) is None


def test_files_from_before_chunks_were_kept_have_none():
    assert latency.itl(request_record()) is None


def test_the_moving_average_is_fastgens():
    """pandas' ewm(span=16).mean(), which the benchmark of FastGen's post uses: weights normalized at each step."""
    gaps = [0.1, 0.9, 0.1, 0.2, 0.05]
    alpha = 2 / 17
    weights = [[(1 - alpha) ** (i - j) for j in range(i + 1)] for i in range(len(gaps))]
    averages = [numpy.average(gaps[: len(w)], weights=w) for w in weights]
    assert latency.slowest_ema(gaps) == pytest.approx(max(averages))
    assert latency.slowest_ema([0.3]) == pytest.approx(0.3)
    assert latency.slowest_ema([]) is None
