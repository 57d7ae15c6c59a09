"""The simulation that shows how often `bench.sh ab` is wrong, and its published evidence."""

from __future__ import annotations

import json

import pytest
import scipy.stats

from bench_deepspeed.simulations import ab


@pytest.fixture(scope="module")
def evidence() -> dict:
    return json.loads(ab.EVIDENCE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "noise"), ab.NOISES.items(), ids=ab.NOISES.keys())
def test_comparisons_without_a_difference_are_seldom_flagged(name, noise):
    """Other seeds than the published ones; fewer than 175 of 200 would come once in 100,000 times at 95%."""
    assert scipy.stats.binom.cdf(174, 200, 0.95) < 1e-4
    row = ab.study(name, noise, 1.0, ab.PAIRS, trials=200, first=ab.TRIALS)
    assert row["nothing"] >= 175


def test_the_usual_way_convicts_drift():
    row = ab.study("drift", ab.NOISES["drift"], 1.0, 2, trials=20, first=ab.TRIALS)
    assert row["usual_slower"] == 20


def test_differences_are_found():
    row = ab.study("all together", ab.NOISES["all together"], 1.03, 20, trials=60, first=ab.TRIALS)
    assert row["faster"] > 30  # published: five in six
    assert row["slower"] == 0


def test_the_evidence_is_of_this_code(evidence):
    names = [*ab.NOISES, *len(ab.POWER_PAIRS) * ["all together"]]
    assert [row["name"] for row in evidence["rows"]] == names
    assert evidence == {**ab.settings(), "rows": evidence["rows"]}
    assert [row["pairs"] for row in evidence["rows"] if row["ratio"] == ab.FASTER] == list(ab.POWER_PAIRS)
    fewer = ab.study("independent", ab.NOISES["independent"], 1.0, ab.PAIRS, trials=ab.TRIALS)
    assert evidence["rows"][0] == fewer


def test_innocence_in_the_evidence_is_95_percent(evidence):
    for row in evidence["rows"]:
        assert row["nothing"] + row["faster"] + row["slower"] == row["trials"] == ab.TRIALS
        assert row["nothing_interval"] == ab.clopper_pearson(row["nothing"], row["trials"])
        if row["ratio"] == 1.0:
            assert row["nothing_interval"][1] >= 0.95


def test_clopper_and_pearson_by_the_beta_distribution():
    low, high = ab.clopper_pearson(190, 200)
    assert low == pytest.approx(scipy.stats.beta.ppf(0.025, 190, 11), abs=1e-6)
    assert high == pytest.approx(scipy.stats.beta.ppf(0.975, 191, 10), abs=1e-6)
