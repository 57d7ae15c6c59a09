"""What a comparison can show: the noncentral t distribution, and numbers of pairs."""

from __future__ import annotations

import math
import re

import pytest
import scipy.special
import scipy.stats
from support import ROOT

from bench_deepspeed.measure import power


@pytest.mark.parametrize("degrees", [1, 2, 2.5, 4, 9, 29, 200])
def test_the_noncentral_t_is_scipys(degrees):
    t = scipy.special.stdtrit(degrees, 0.975)
    assert power.exceeds(t, degrees, 3.0) == pytest.approx(1 - scipy.special.nctdtr(degrees, 3.0, t), abs=1e-5)
    assert power.noncentrality(degrees) == pytest.approx(scipy.special.nctdtrinc(degrees, 0.2, t), rel=1e-5)


def test_the_pairs_are_those_of_a_paired_t_test():
    """Of values with a standard deviation of 5%, for 3%: the first n whose t-test has a power of 80%."""
    spread, log = 0.05, math.log1p(0.03)

    def power_of(n: int) -> float:
        t = scipy.stats.t.ppf(0.975, n - 1)
        return scipy.stats.nct.sf(t, n - 1, log * math.sqrt(n) / spread)

    wanted = next(n for n in range(3, 100) if power_of(n) >= 0.8)
    assert power.pairs_to_detect(spread, log, most=wanted) == wanted
    assert power.pairs_to_detect(spread, log, most=wanted - 1) is None
    assert power.pairs_to_detect(0.0, log, most=30) == power.MIN_PAIRS


def test_half_a_width_says_as_much_as_a_standard_error():
    half_width = scipy.stats.t.ppf(0.975, 4) * 0.01
    assert power.detectable_of(half_width, 4).log == pytest.approx(power.detectable(0.01, 4).log)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (0.0, "0% faster or 0% slower"),
        (math.log(1.0042), "0.42% faster or 0.42% slower"),
        (math.log(1.093), "9.3% faster or 8.5% slower"),
        (math.log(2.5), "150% faster or 60% slower"),
    ],
)
def test_both_directions_are_said(log, words):
    assert power.Detectable(log).shown == words


def test_the_noncentralities_that_the_document_names_are_these():
    text = (ROOT / "docs" / "method" / "ab.md").read_text()
    named = re.search(r"δ is ([\d.]+) for three pairs, ([\d.]+) for five, ([\d.]+) for ten", text)
    assert [f"{power.noncentrality(pairs - 1):.2f}" for pairs in (3, 5, 10)] == list(named.groups())
