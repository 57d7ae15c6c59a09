"""The intervals of a run's latency and energy, and what is said where neighbours contradict each other."""

from __future__ import annotations

import math

import numpy
import pytest
import scipy.stats
from builders import result as result_of

from bench_deepspeed.benchmarks.run.metrics import METRICS
from bench_deepspeed.core import units
from bench_deepspeed.measure import metrics
from bench_deepspeed.measure.records import Energy, EnergyPart, Latency, Prefill, Result, Run, Sample

BY_NAME = {metric.name: metric for metric in METRICS}
TTFT = [0.020, 0.026, 0.023]


def streamed(ttft_s: list[float], e2e_s: list[float], first_gap_s: float = 0.01) -> Result:
    """Two processes whose generations of 8 tokens take a second, and streamed ones."""
    found = result_of()
    found.runs = [Run(samples=[Sample(s, 5, 8) for s in seconds]) for seconds in ((0.99, 1.0), (1.0, 1.02))]
    found.latency = Latency("streamed", ttft_s, e2e_s, [[first_gap_s, *6 * [0.01]]] * len(ttft_s))
    return found


def students(values: list[float]) -> tuple[float, float]:
    return scipy.stats.t.interval(0.95, len(values) - 1, numpy.mean(values), scipy.stats.sem(values))


def test_latency_has_students_interval_over_its_generations():
    found = streamed(TTFT, [1.0, 1.01, 1.02])
    found.prefill = Prefill(512, [0.1, 0.12, 0.11])
    tpot = [(e2e - ttft) / 7 for e2e, ttft in zip(found.latency.e2e_s, TTFT, strict=True)]
    for name, series in {"ttft_s": TTFT, "tpot_s": tpot, "prefill_s": found.prefill.seconds}.items():
        assert BY_NAME[name].interval(found) == pytest.approx(students(series))
        assert "n 3 in one process" in BY_NAME[name].cell(found)
        assert BY_NAME[name].columns()[f"{name}_low"].endswith("over the generations of one process")
    assert BY_NAME["ttft_s"].cell(found) == "23.00 ms [15.55 ms, 30.45 ms] (streamed, n 3 in one process)"


def test_no_time_is_below_zero_and_one_generation_has_no_interval():
    assert BY_NAME["ttft_s"].interval(streamed([0.001, 0.1], [1.0, 1.0]))[0] == 0.0
    one = streamed([0.02], [1.0])
    assert BY_NAME["ttft_s"].interval(one) is None
    assert BY_NAME["ttft_s"].cell(one) == "20.00 ms [no interval] (streamed, n 1 in one process)"


def test_a_percentile_says_of_how_many_gaps_it_is():
    assert BY_NAME["itl_p99_s"].cell(streamed(TTFT, [1.0, 1.01, 1.02])) == "10.00 ms (of 21 gaps)"


def test_a_first_token_that_comes_with_the_second_is_named_with_ttft():
    assert "a step late" in BY_NAME["ttft_s"].cell(streamed(TTFT, [1.0, 1.01, 1.02], first_gap_s=0.0005))
    assert "a step late" not in BY_NAME["ttft_s"].cell(streamed(TTFT, [1.0, 1.01, 1.02], first_gap_s=0.008))
    assert not metrics.first_token_came_late(Latency("difference", [0.1], [1.0], []))


def test_time_per_token_is_of_the_timed_repetitions():
    assert BY_NAME["time_per_token_s"].value(streamed(TTFT, [9.0] * 3)) == pytest.approx(1.0 / 8)


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.02, 1.3])
def test_latency_of_other_generations_than_tokens_per_second_is_named(factor):
    """By SciPy's Welch test, but for degrees of freedom that are not whole: these are far from the limit."""
    e2e_s = [factor * s for s in (1.0, 1.01, 1.002)]
    found = streamed(TTFT, e2e_s)
    p = scipy.stats.ttest_ind([0.995, 1.01], e2e_s, equal_var=False).pvalue
    times = numpy.mean(e2e_s) / numpy.mean([0.995, 1.01])
    said = f"these generations took {times:.2f} × as long as the timed ones" in BY_NAME["tpot_s"].cell(found)
    assert said == (metrics.generations_apart(found) is not None) == (p < 0.05)


def test_what_noise_explains_is_not_named():
    """1,000 runs of 3 processes and 3 streamed generations that differ by the same noise: named in 5% of them."""
    draw, named = numpy.random.default_rng(3), 0
    for _ in range(1000):
        seconds = numpy.exp(0.03 * draw.standard_normal((2, 3)))
        found = streamed(TTFT, list(seconds[0]))
        found.runs = [Run(samples=[Sample(s, 5, 8)]) for s in seconds[1]]
        named += metrics.generations_apart(found) is not None
    assert 15 <= named <= 75


def test_energy_has_the_digits_that_its_parts_bear():
    found = result_of(max_tokens=100)
    parts = [EnergyPart(joules, 3.0, 300) for joules in (950.0, 960.0, 970.0)]
    found.energy = Energy("NVML, whole GPU", 2880.0, 9.0, 900, parts)
    assert BY_NAME["energy_j_per_token"].interval(found) == pytest.approx(students([3.1666667, 3.2, 3.2333333]))
    assert BY_NAME["energy_j_per_token"].cell(found) == "3.20 J/token [3.12, 3.28] (NVML, whole GPU; n 3)"
    assert BY_NAME["power_w"].cell(found) == "320 W [312, 328] (NVML, whole GPU; n 3)"


def test_energy_of_one_generation_has_two_digits_and_no_interval():
    found = result_of(max_tokens=512)
    found.energy = Energy("NVML, whole GPU", 1627.85, 4.98, 512)
    assert BY_NAME["energy_j_per_token"].cell(found) == "3.2 J/token (NVML, whole GPU; 1 generation, no interval)"
    assert BY_NAME["power_w"].cell(found) == "330 W (NVML, whole GPU; 1 generation, no interval)"
    assert BY_NAME["energy_j_per_token"].flat(found)["energy_j_per_token_low"] is None


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [
        (3.179, 2, "3.2"),
        (326.8, 2, "330"),
        (0.00417, 2, "0.0042"),
        (9.96, 2, "10"),
        (1234.0, 2, "1,200"),
        (0.0, 2, "0.0"),
    ],
)
def test_digits_that_count(value, digits, words):
    assert units.to_digits(value, digits) == words


@pytest.mark.parametrize(
    ("error", "words"),
    [(0.04, "3.18"), (0.3, "3.2"), (0.0041, "3.179"), (2.0, "3"), (0.0, "3.18"), (math.pi / 1e3, "3.179")],
)
def test_digits_down_to_the_error(error, words):
    assert units.to_error(3.1789, error) == words
