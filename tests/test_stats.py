"""The statistics against NumPy's."""

from __future__ import annotations

import numpy
import pytest

from bench_deepspeed.stats import summarize

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


def test_one_value_has_no_deviation():
    summary = summarize([5.0])
    assert summary.std is None
    assert (summary.n, summary.mean, summary.median, summary.minimum, summary.maximum) == (1, 5.0, 5.0, 5.0, 5.0)
