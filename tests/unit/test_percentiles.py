"""Percentiles with intervals of order statistics, with NumPy and SciPy as the oracle."""

from __future__ import annotations

import json
import math

import numpy
import pytest
from scipy.stats import binom

from bench_deepspeed.measure import percentiles
from bench_deepspeed.measure.percentiles import Percentile
from bench_deepspeed.simulations import percentiles as simulated
from bench_deepspeed.simulations.view import simulation_table


def percentile(values: list[float], percent: float) -> Percentile:
    return percentiles.percentiles(values, [percent])[percent]


@pytest.mark.parametrize(("percent", "least"), [(50, 6), (90, 36), (95, 72), (99, 368)])
def test_the_least_number_is_the_least_that_has_ranks(percent, least):
    assert percentiles.needed(percent) == least
    assert percentiles.ranks(least, percent / 100) is not None
    assert percentiles.ranks(least - 1, percent / 100) is None


@pytest.mark.parametrize("n", [6, 37, 400, 3000])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_the_ranks_leave_at_most_a_fortieth_on_either_side_and_no_nearer_ones_do(n, share):
    found = percentiles.ranks(n, share)
    if found is None:
        assert 1 - share**n < 0.975 or (1 - share) ** n > 0.025
        return
    low, high = found
    assert binom.cdf(low - 1, n, share) <= 0.025 < binom.cdf(low, n, share)
    assert binom.sf(high - 1, n, share) <= 0.025 < binom.sf(high - 2, n, share)


def test_the_value_is_numpys_and_the_interval_holds_the_truth():
    """Independent exponential values, whose percentiles are known: 95 of 100 intervals at least hold them."""
    rng = numpy.random.default_rng(1)
    held = {50: 0, 90: 0, 99: 0}
    for _ in range(100):
        values = rng.exponential(size=600).tolist()
        for percent, found in percentiles.percentiles(values, held).items():
            assert found.n == 600
            if found.value is None:
                held[percent] += 1  # withheld is not wrong
                continue
            assert found.value == pytest.approx(numpy.percentile(values, percent))
            held[percent] += found.low <= -math.log(1 - percent / 100) <= found.high
    assert min(held.values()) >= 89  # 95 are expected; fewer than 89 by chance in less than 1%


def test_too_few_values_are_not_measured_and_say_how_many_are_needed():
    found = percentile([0.3, 0.1, 0.2, 0.5, 0.4, 0.6], 99)
    assert (found.value, found.low, found.high, found.n, found.needed) == (None, None, None, 6, 368)
    assert found.shortfall == f"{found.worth} of 368"
    assert percentile([], 50).shortfall == "0 of 6"


def test_values_that_follow_one_another_are_worth_fewer():
    """A latency that grows over the whole time is worth next to nothing, however many requests there were."""
    assert percentile([float(n) for n in range(1000)], 99).value is None
    assert percentile([float(n) for n in range(1000)], 50).worth < 20
    independent = percentile(numpy.random.default_rng(2).exponential(size=1000).tolist(), 50)
    repeated = percentile(numpy.repeat(numpy.random.default_rng(2).exponential(size=100), 10).tolist(), 50)
    assert repeated.worth < independent.worth / 5
    assert repeated.high - repeated.low > 2 * (independent.high - independent.low)


def test_infinite_values_are_above_all_others():
    values = numpy.random.default_rng(3).permutation([1.0] * 60 + [math.inf] * 40).tolist()
    assert percentile(values, 50).value == 1.0
    assert percentile(values, 90).value == math.inf
    assert percentile([1.0, math.inf] * 50, 50).high == math.inf


def test_the_published_simulation_is_of_these_rules():
    """Three short series again; how often intervals hold is in the published file."""
    published = json.loads(simulated.EVIDENCE.read_text())
    assert [(row["latencies"], row["utilization"]) for row in published["rows"]] == list(simulated.CASES)
    again = simulated.study(simulated.INDEPENDENT, 0.0, requests=100, trials=3)["percentiles"]
    assert [again[percent]["shown"] for percent in ("50", "90", "99")] == [3, 3, 0]
    independent = published["rows"][0]["percentiles"]
    assert all(counts["held"] >= 0.88 * counts["shown"] > 0 for counts in independent.values())
    assert "p99 shown" in simulation_table(published, "percentiles")
