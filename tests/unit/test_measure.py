"""When a process is warm, when there are enough processes, and whether the interval means what it says."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest

from bench_deepspeed.engines.fake import Noise
from bench_deepspeed.measure import stopping
from bench_deepspeed.measure.records import Result, Run, Sample, Scenario
from bench_deepspeed.measure.statistics import mean_interval
from bench_deepspeed.simulations import coverage

SCENARIO = Scenario("smollm2", "fake", "cpu", "float32", "pretrained", "hello", 8, 3, 2, None, 0)
TARGET = dataclasses.replace(SCENARIO, target_ci=0.01, time_budget_s=600.0)


def samples(*seconds: float) -> list[Sample]:
    return [Sample(s, 1, 8) for s in seconds]


def result(scenario: Scenario, *means: float, load_s: float = 1.0) -> Result:
    """One process of two valid repetitions for each mean number of tokens per second."""
    runs = [Run(load_s=load_s, samples=samples(8 / mean, 8 / mean)) for mean in means]
    return Result(scenario, runs=runs)


@pytest.mark.parametrize(
    ("seconds", "steady"),
    [
        ([], False),
        ([1.0, 1.0], False),
        ([1.0, 1.0, 1.0], True),
        ([3.0, 1.0, 1.0], False),
        ([3.0, 1.0, 1.0, 1.0], True),
        ([1.0, 1.0, 1 / 1.019], True),
        ([1.0, 1.0, 1 / 1.021], False),
        ([1.0, 1 / 1.021, 1.0], False),
        ([1.0, 2.0, 3.0], True),
        ([4.0, 3.0, 2.0, 1.0], False),
    ],
)
def test_steady_is_no_longer_getting_faster(seconds, steady):
    assert stopping.is_steady(samples(*seconds)) is steady


def warm_up(seconds: list[float], count: int | None) -> Run:
    """Warm up on these times; each sample must be in the run when it is yielded."""
    run, times = Run(), iter(seconds)
    for number, sample in enumerate(stopping.warm_ups(lambda: samples(next(times))[0], run, count), start=1):
        assert run.warmups[-1] is sample and len(run.warmups) == number
    return run


def test_warm_ups_end_when_steady():
    run = warm_up([3.0, 1.5, 1.1, 1.0, 1.0, 1.0, 1.0, 1.0], None)
    assert (run.steady, len(run.warmups)) == (True, 6)
    assert stopping.warmed(run) == "steady after 6 warm-ups"


def test_warm_ups_end_when_they_never_are():
    run = warm_up([0.9**n for n in range(99)], None)
    assert (run.steady, len(run.warmups)) == (False, stopping.MAX_WARMUPS)
    assert stopping.warmed(run) == "not steady after 20 warm-ups"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_fixed_number_of_warm_ups_says_nothing_of_steadiness(count):
    run = warm_up([2.0**-n for n in range(9)], count)
    assert (run.steady, len(run.warmups)) == (None, count)


def test_warm_ups_end_in_noise_of_ten_per_cent():
    """With warm times that scatter by 10% no process of 1,000 runs into the limit, and few need many."""
    noise = random.Random(0)
    counts = []
    for _ in range(1000):
        run = warm_up([(2.0 if n == 0 else 1.0) * math.exp(noise.gauss(0, 0.1)) for n in range(99)], None)
        assert run.steady
        counts.append(len(run.warmups))
    assert sum(counts) / len(counts) < 6


def test_as_many_processes_as_requested():
    assert stopping.enough(result(SCENARIO), 0.0, True) is None
    assert stopping.enough(result(SCENARIO, 1.0, 1.0), 1e9, False) is None
    assert stopping.enough(result(SCENARIO, 1.0, 1.0, 1.0), 0.0, False) == "3 processes, as requested"
    assert (
        stopping.enough(result(dataclasses.replace(SCENARIO, processes=1), 1.0), 0.0, False)
        == "1 process, as requested"
    )


@pytest.mark.parametrize("name", ["independent", "some slow processes", "means agree too well"])
def test_intervals_hold_the_truth_as_often_as_they_say(name):
    """Of 200 runs of ten processes with other seeds than the published ones 190 are expected; 3 deviations are 9."""
    row = coverage.study(name, 10, 200, first=coverage.RUNS)
    assert abs(row["covered"] - 190) <= 9
    assert row["mean_processes"] == 10


def test_the_time_budget_ends_a_run_whose_processes_were_not_requested_by_number():
    ten = dataclasses.replace(SCENARIO, processes=10, time_budget_s=600.0)
    assert stopping.enough(result(ten, 1.0, 1.0), 600.0, leave_out=True) is None  # three in any case
    assert stopping.enough(result(ten, 1.0, 1.0, 1.0), 599.0, leave_out=True) is None
    words = stopping.enough(result(ten, 1.0, 1.0, 1.0), 600.0, leave_out=True)
    assert words == "3 processes: the time budget of 600 s is spent; --processes 10 measures the others as well"
    assert stopping.enough(result(ten, 1.0, 1.0, 1.0), 600.0, leave_out=False) is None


def test_an_expensive_load_is_not_repeated_unless_requested():
    slow = result(SCENARIO, 1.0, load_s=stopping.CHEAP_LOAD_S + 1)
    words = stopping.enough(slow, 0.0, leave_out=True)
    assert "121 s" in words and "--processes 3" in words
    assert stopping.enough(slow, 0.0, leave_out=False) is None
    assert stopping.enough(result(SCENARIO, 1.0, load_s=stopping.CHEAP_LOAD_S), 0.0, leave_out=True) is None
    assert stopping.enough(result(TARGET, 1.0, load_s=999.0), 0.0, leave_out=True) is None


def test_a_target_is_met_by_several_intervals_in_a_row():
    means = [99.9, 100.1] * 6  # the interval is within 1% from the third process on
    ends = [n for n in range(1, 13) if stopping.enough(result(TARGET, *means[:n]), 0.0, False)]
    assert mean_interval([[m] for m in means[:3]]).relative < 0.01 < mean_interval([[m] for m in means[:2]]).relative
    assert ends[0] == 3 + stopping.IN_A_ROW - 1
    assert "the target is met; the interval is ± 0.1" in stopping.enough(result(TARGET, *means[:7]), 0.0, False)


def test_a_target_out_of_reach_ends_with_the_budget_or_the_most_processes():
    means = [80.0, 120.0] * 15
    assert stopping.enough(result(TARGET, *means[:5]), 599.0, False) is None
    assert "time budget of 600 s is spent" in stopping.enough(result(TARGET, *means[:5]), 600.0, False)
    assert stopping.enough(result(TARGET, *means[:2]), 600.0, False) is None  # as many as requested come first
    assert stopping.enough(result(TARGET, *means[:29]), 0.0, False) is None
    assert "30 processes, the most there are" in stopping.enough(result(TARGET, *means), 0.0, False)


def test_a_target_with_one_process_goes_on():
    one = dataclasses.replace(TARGET, processes=1)
    assert stopping.enough(result(one, 1.0), 0.0, False) is None
    assert stopping.enough(result(one, 1.0), 600.0, False).startswith("1 process: ")


def test_a_target_ends_where_nothing_is_valid():
    void = Result(TARGET, runs=[Run(load_s=1.0, samples=[Sample(1.0, 1, 7)]) for _ in range(3)])
    assert "no repetition is valid" in stopping.enough(void, 0.0, False)


def test_noise_has_the_deviations_and_the_autocorrelation_requested():
    noise = Noise(seed=1, autocorrelated=0.05, autocorrelation=0.7)
    logs = [math.log(noise.factor(call)) for call in range(20000)]
    assert sum(x * x for x in logs) / len(logs) == pytest.approx(0.05**2, rel=0.05)
    assert sum(a * b for a, b in zip(logs, logs[1:], strict=False)) / sum(x * x for x in logs) == pytest.approx(
        0.7, abs=0.02
    )
    independent = Noise(seed=1, independent=0.1)
    squares = [math.log(independent.factor(call)) ** 2 for call in range(20000)]
    assert sum(squares) / len(squares) == pytest.approx(0.1**2, rel=0.05)
    between = [Noise(seed=n, between=0.04) for n in range(5000)]
    assert sum(math.log(n.factor(0)) ** 2 for n in between) / 5000 == pytest.approx(0.04**2, rel=0.1)
    assert all(n.factor(0) == n.factor(1) for n in between)
    assert math.log(Noise(seed=1, drift=0.01).factor(7)) == pytest.approx(0.07)
