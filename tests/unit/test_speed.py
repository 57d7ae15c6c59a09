"""Tokens/s as total tokens over total time, and its interval, against NumPy's and SciPy's."""

from __future__ import annotations

import math

import numpy
import pytest
import scipy.stats

from bench_deepspeed.measure.distributions import beta_cdf, f_cdf, student_quantile
from bench_deepspeed.measure.records import Result, Run, Sample, Scenario
from bench_deepspeed.measure.speed import interval_of, mean_time, process_speeds, speed_interval
from bench_deepspeed.measure.statistics import Interval, neighbours_alike_p

SCENARIO = Scenario("smollm2", "fake", "cpu", "float32", "pretrained", "hello", 8, 3, 2, 0, 0)
APART = [[2.0, 2.2, 2.1], [2.5, 2.4, 2.6], [2.9, 3.0, 3.1], [2.0, 2.1, 2.2]]


@pytest.mark.parametrize("degrees", [*range(1, 41), 100, 1001])
def test_students_quantile_is_scipys(degrees):
    assert student_quantile(degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1.0, 13.5), (4.5, 45.0), (14.5, 135.0), (7.3, 7.3), (400.0, 2.5)])
def test_the_beta_distribution_is_scipys(a, b):
    for x in (0.0, 1e-9, 0.003, 0.1, 0.5, 0.9, 0.999, 1.0):
        assert beta_cdf(x, a, b) == pytest.approx(scipy.stats.beta.cdf(x, a, b), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("above", "below"), [(1, 2), (2, 12), (2, 27), (9, 90), (29, 270)])
def test_the_f_distribution_is_scipys(above, below):
    for value in (0.0, 0.004, 0.3, 1.0, 4.0):
        assert f_cdf(value, above, below) == pytest.approx(scipy.stats.f.cdf(value, above, below), rel=1e-9)


def test_speed_is_all_valid_tokens_over_all_their_seconds():
    good, fast, void = Sample(2.0, 3, 8), Sample(1.0, 3, 8), Sample(1.0, 3, 7)
    result = Result(SCENARIO, runs=[Run(samples=[good, void]), Run(samples=[fast, good]), Run(samples=[void])])
    assert process_speeds(result) == [[4.0], [8.0, 4.0], []]
    assert speed_interval(result) == interval_of(8, [[2.0], [1.0, 2.0]])
    assert speed_interval(result).mean == pytest.approx(3 * 8 / 5)
    assert speed_interval(result).n == 2


def test_the_interval_is_scipys_of_the_processes_mean_times_on_the_logarithm():
    """Around the mean with Johnson's correction, which is the skewness · s ∕ 6 P."""
    means = numpy.mean(APART, axis=1)
    centre = means.mean() + scipy.stats.skew(means, bias=False) * means.std(ddof=1) / (6 * len(means))
    low, high = scipy.stats.t.interval(0.95, len(means) - 1, 0.0, scipy.stats.sem(means) / centre)
    interval = interval_of(100, APART)
    assert (interval.mean, interval.n) == (pytest.approx(100 / means.mean()), 4)
    assert (interval.low, interval.high) == pytest.approx((100 / centre * math.exp(low), 100 / centre * math.exp(high)))


def test_means_that_agree_too_well_do_not_narrow_the_interval():
    """The published 100.61 [100.15, 101.06]: three means within 0.35 of each other, with 6.5 inside the processes."""
    inside = [-6.5, 6.5, -3.0, 3.0, 0.0]
    groups = [[mean + x for x in inside] for mean in (100.6, 100.5, 100.7)]
    values = numpy.array(groups)
    assert scipy.stats.f_oneway(*groups).statistic < scipy.stats.f.ppf(0.025, 2, 12)
    pooled = values.var(axis=1, ddof=1).mean()
    half_width = scipy.stats.t.ppf(0.975, 12) * math.sqrt(pooled / values.size) / values.mean()
    interval = interval_of(1000, groups)
    assert math.log(interval.high / interval.low) / 2 == pytest.approx(half_width)
    assert mean_time(groups).error.degrees == 12
    alone = interval_of(1000, [[mean] for mean in values.mean(axis=1)])  # what the means alone would claim
    assert math.log(alone.high / alone.low) < half_width / 5


def test_means_that_agree_as_they_should_are_what_the_interval_is_of():
    groups = [[10.0, 11.0, 12.0], [10.4, 11.4, 12.4], [9.8, 10.8, 11.8]]
    assert scipy.stats.f_oneway(*groups).statistic > scipy.stats.f.ppf(0.025, 2, 6)
    assert mean_time(groups).error.degrees == 2


def test_equal_times_leave_no_doubt_and_a_single_process_all():
    assert interval_of(8, [[2.0, 2.0], [2.0, 2.0], [2.0]]) == Interval(4.0, 4.0, 4.0, 3)
    assert interval_of(8, [[2.0, 3.0], []]) == Interval(3.2, None, None, 1)
    assert interval_of(8, [[], []]) is None


def test_unequal_processes_weigh_by_their_repetitions():
    """Cochran's variance of a ratio of totals over clusters, written out."""
    groups = [[1.0, 1.2, 1.1, 1.3], [1.9], [1.5, 1.4]]
    totals, sizes = numpy.array([sum(g) for g in groups]), numpy.array([len(g) for g in groups])
    found, mean = mean_time(groups), totals.sum() / sizes.sum()
    residuals = (totals - mean * sizes) / sizes.mean()
    assert found.mean_s == pytest.approx(mean)
    assert found.error.relative * found.error.centre_s == pytest.approx(residuals.std(ddof=1) / math.sqrt(3))


def test_an_order_is_distinguished_from_none_as_by_permuting():
    """Bartels's approximation against the share of all orders of eight values that are as smooth."""
    draw, values = numpy.random.default_rng(0), [3.0, 1.0, 2.0, 4.0, 6.0, 5.0, 8.0, 7.0]

    def roughness(x):
        ranks = scipy.stats.rankdata(x)
        return ((ranks[1:] - ranks[:-1]) ** 2).sum()

    orders = [roughness(draw.permutation(values)) for _ in range(4000)]
    assert neighbours_alike_p(values) == pytest.approx(numpy.mean(numpy.array(orders) <= roughness(values)), abs=0.01)
    assert neighbours_alike_p([1.0, 2.0, 3.0, 4.0]) is None
    assert neighbours_alike_p([7.0] * 6) is None
    assert neighbours_alike_p([1.0, 9.0, 2.0, 8.0, 3.0, 7.0]) > 0.9
