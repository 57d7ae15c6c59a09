"""The statistics against NumPy's, SciPy's and published values."""

from __future__ import annotations

import numpy
import pytest
import scipy.stats

from bench_deepspeed.measure import statistics
from bench_deepspeed.measure.statistics import summarize

SERIES = {
    "two": [1.0, 2.0],
    "odd": [3.0, 1.0, 2.0, 10.0, 4.5],
    "even": [116.0, 101.9, 85.0, 90.25],
    "equal": [7.0] * 6,
    "close together": [1e6 + 1e-3 * n for n in range(11)],
    "many": list(numpy.random.default_rng(0).lognormal(3.0, 1.0, 1000)),
}


@pytest.mark.parametrize("values", SERIES.values(), ids=SERIES.keys())
def test_summary_is_numpys(values):
    summary = summarize(values)
    assert summary.n == len(values)
    assert summary.mean == pytest.approx(numpy.mean(values), rel=1e-12)
    assert summary.std == pytest.approx(numpy.std(values, ddof=1), rel=1e-6, abs=1e-12)
    assert summary.median == pytest.approx(numpy.median(values), rel=1e-15)
    assert (summary.minimum, summary.maximum) == (numpy.min(values), numpy.max(values))


def test_order_does_not_matter():
    assert summarize([3.0, 1.0, 2.0]) == summarize([1.0, 2.0, 3.0])


def test_nothing_measured_is_none():
    assert summarize([]) is None
    assert statistics.mean_interval([]) is None
    assert statistics.mean_interval([[], []]) is None


def test_one_value_has_no_deviation():
    summary = summarize([5.0])
    assert summary.std is None
    assert (summary.n, summary.mean, summary.median, summary.minimum, summary.maximum) == (1, 5.0, 5.0, 5.0, 5.0)


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.706), (3, 4.303), (4, 3.182), (5, 2.776), (10, 2.262), (30, 2.045)])
def test_interval_is_that_of_the_printed_table_of_student(n, quantile):
    """t(0.975) for n - 1 degrees of freedom, as every table has it."""
    groups = [[float(i)] for i in range(n)]
    interval = statistics.mean_interval(groups)
    s = numpy.std(range(n), ddof=1)
    assert interval.n == n
    assert interval.mean == pytest.approx((n - 1) / 2)
    assert interval.half_width == pytest.approx(quantile * s / numpy.sqrt(n), rel=2e-4)
    assert interval.relative == pytest.approx(interval.half_width / interval.mean)


def test_interval_is_scipys_over_the_means_of_the_groups():
    groups = [[100.0, 104.0, 99.0], [95.0, 96.0, 91.0], [108.0, 101.0, 103.0]]
    means = [numpy.mean(group) for group in groups]
    low, high = scipy.stats.t.interval(0.95, 2, numpy.mean(means), scipy.stats.sem(means))
    interval = statistics.mean_interval(groups)
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))
    assert interval.mean == pytest.approx(numpy.mean(means))


def test_repeating_within_a_process_does_not_narrow_the_interval():
    groups = [[100.0], [104.0], [99.0]]
    assert statistics.mean_interval([group * 50 for group in groups]) == statistics.mean_interval(groups)


def test_unequal_groups_weigh_the_same():
    assert statistics.mean_interval([[1.0, 1.0, 1.0, 1.0], [3.0], []]).mean == 2.0
    assert statistics.mean_interval([[1.0, 1.0, 1.0, 1.0], [3.0], []]).n == 2


def test_one_process_has_a_mean_and_no_interval():
    interval = statistics.mean_interval([[1.0, 2.0, 3.0]])
    assert interval == statistics.Interval(2.0, None, None, 1)
    assert (interval.half_width, interval.relative) == (None, None)


def test_trend_is_spearmans():
    """1 - 6 Σd² / (n(n² - 1)): the ranks 1 3 2 5 4 differ from their order by 0 1 1 1 1."""
    found = statistics.trend([1.0, 30.0, 20.0, 500.0, 40.0])
    assert found.rho == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert found.p == pytest.approx(0.104088, abs=1e-6)  # t = 0.8 √(3 / 0.36), three degrees of freedom
    assert statistics.trend([5.0, 4.0, 3.0, 2.0, 1.0]).rho == pytest.approx(-1.0)


@pytest.mark.parametrize("n", [3, 4, 5, 10, 17, 40])
def test_trends_and_combined_p_values_are_scipys(n):
    """With ties, falling and rising, in perfect order and in none."""
    from scipy import stats

    draw = numpy.random.default_rng(n)
    perfect = [float(value) for value in range(n)]
    for values in (perfect, *([float(v) for v in draw.integers(0, n, n)] for _ in range(20))):
        if min(values) == max(values):
            continue
        found, expected = statistics.trend(values), stats.spearmanr(range(n), values)
        assert (found.rho, found.p) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)
    p_values = list(draw.uniform(0.001, 1, n))
    assert statistics.combined_p([1.0] * n) == 1.0
    assert statistics.combined_p([1e-6] * 500) == pytest.approx(0.0)  # as many processes as anybody measures
    assert statistics.combined_p(p_values) == pytest.approx(stats.combine_pvalues(p_values).pvalue, rel=1e-9)


def test_outliers_are_those_of_the_modified_z_score():
    values = [2.1, 2.6, 2.4, 2.5, 2.3, 2.1, 2.3, 2.6, 8.2, 8.3]  # median 2.45, MAD 0.2: scores of 19 and 20
    assert statistics.outliers(values) == [8, 9]
    median, mad = 10.0, 1.0
    limit = 3.5 * mad / 0.6745
    base = [8.0, 9.0, 9.0, median, 11.0, 11.0]
    assert statistics.outliers([*base, median + limit * 1.001]) == [6]
    assert statistics.outliers([*base, median + limit * 0.999]) == []


def test_two_modes_are_distinguished_from_one():
    draw = numpy.random.default_rng(0)
    one, low, high = draw.normal(100, 3, 40), draw.normal(90, 1, 20), draw.normal(110, 1, 20)
    assert statistics.bimodality(list(one)) > 0.05
    assert statistics.bimodality([*low, *high]) < 0.01


@pytest.mark.parametrize("function", [statistics.trend, statistics.bimodality])
@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [3.0] * 9], ids=str)
def test_what_is_not_defined_is_none(function, values):
    assert function(values) is None
    assert statistics.outliers(values) == []


def test_percentiles_are_numpys():
    values = [4.0, 1.0, 3.0, 2.0]
    assert (
        statistics.percentile(values, 50),
        statistics.percentile(values, 25),
        statistics.percentile(values, 100),
    ) == (2.5, 1.75, 4)


def autoregressive(rho: float, n: int, seed: int) -> list[float]:
    """AR(1) with standard normal steps, from its stationary distribution."""
    draw = numpy.random.default_rng(seed)
    values = [draw.normal(scale=1 / numpy.sqrt(1 - rho**2))]
    for step in draw.normal(size=n - 1):
        values.append(rho * values[-1] + step)
    return [float(value) for value in values]


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_effective_size_of_a_long_series_is_that_of_theory(rho):
    """n (1 - ρ) / (1 + ρ), the known answer for AR(1)."""
    sizes = [statistics.effective_size(autoregressive(rho, 2000, seed)) / 2000 for seed in range(20)]
    assert numpy.mean(sizes) == pytest.approx((1 - rho) / (1 + rho), rel=0.1)


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0], 9 * [2.0], 5 * [1.0, -1.0]])
def test_effective_size_is_never_more_than_there_are(values):
    assert statistics.effective_size(values) == len(values)


def test_the_interval_of_a_series_that_follows_itself():
    """Independent values: Student's. Autocorrelated ones: it holds the mean far more often than Student's does."""
    values = [1.0, 3.0, 2.0, 4.0, 1.5, 3.5]
    assert statistics.effective_size(values) == 6
    assert statistics.series_interval(values).half_width == pytest.approx(
        statistics.mean_interval([[v] for v in values]).half_width
    )
    held = {"series": 0, "student": 0}
    for seed in range(300):
        following = autoregressive(0.7, 40, seed)
        found = {
            "series": statistics.series_interval(following),
            "student": statistics.mean_interval([[v] for v in following]),
        }
        for name, interval in found.items():
            held[name] += interval.low <= 0.0 <= interval.high
    assert held["student"] < 210
    assert held["series"] > 246


def test_a_series_too_short_has_no_interval():
    assert statistics.series_interval([]) is None
    assert statistics.series_interval([1.0]).low is None
