"""The simulations of power and of the gate of `compare`: a few trials again, and the published evidence."""

from __future__ import annotations

import json

import pytest
import scipy.stats

from bench_deepspeed.simulations import gate, power


def published(study) -> dict:
    return json.loads(study.EVIDENCE.read_text(encoding="utf-8"))


def test_the_evidence_of_power_is_of_this_code():
    evidence = published(power)
    assert evidence == {**power.settings(), "rows": evidence["rows"]}
    pairs = [row for row in evidence["rows"] if row["simulated"] == "pairs"]
    kinds = ("between", "within", "pairs", "detect")
    assert [tuple(row[name] for name in kinds) for row in pairs] == [
        tuple(getattr(case, name) for name in kinds) for case in power.CASES
    ]
    whole = [row for row in evidence["rows"] if row["simulated"] == "whole"]
    assert [row["pairs"] for row in whole] == list(power.WHOLE_PAIRS)
    again = power.study(power.CASES[0], trials=3)
    same = ("ratio", "deviation", "mean_pairs")
    assert {name: again[name] for name in same} == {name: pairs[0][name] for name in same}


def test_what_is_detectable_is_shown_in_80_percent_of_comparisons():
    """Of fixed numbers of pairs: no row is further from 80% than chance allows, nor, of equal sides, from 5%."""
    for row in published(power)["rows"]:
        if row["detect"] is None:
            assert scipy.stats.binomtest(row["shown"], row["trials"], power.POWER).pvalue > 1e-3
            assert scipy.stats.binomtest(row["false"], row["trials"], 0.05).pvalue > 1e-3
        elif row["out_of_reach"] == 0:
            assert row["shown"] / row["trials"] >= power.POWER
            assert row["false"] / row["trials"] < 0.065  # what the pilot costs


def test_a_few_trials_show_what_is_detectable():
    """Other seeds than the published ones; 44 of 80 or fewer would come once in a million times at 80%."""
    assert scipy.stats.binom.cdf(44, 80, power.POWER) < 1e-6
    row = power.study(power.CASES[1], trials=80, first=power.TRIALS)
    assert row["shown"] > 44
    assert row["false"] < 20


def test_one_whole_comparison_is_of_the_real_order_and_verdict():
    row = power.study_whole(3, trials=1, first=power.WHOLE_TRIALS)
    (published_row,) = (r for r in published(power)["rows"] if r["simulated"] == "whole" and r["pairs"] == 3)
    assert row["deviation"] == published_row["deviation"]


@pytest.mark.parametrize("number", [0, 7])
def test_the_evidence_of_the_gate_is_of_this_code(number):
    evidence = published(gate)
    assert evidence == {**json.loads(json.dumps(gate.settings())), "trials": gate.TRIALS, "rows": evidence["rows"]}
    row = evidence["rows"][number]
    assert gate.study(row["spread"], row["processes"], gate.RATIOS[-1], gate.TRIALS) == row["outcomes"][-1]


def test_a_regression_of_ten_percent_is_never_excluded_where_processes_agree():
    for row in published(gate)["rows"]:
        same, slower = row["outcomes"]
        assert sum(same.values()) == sum(slower.values()) == gate.TRIALS
        assert same["shown"] / gate.TRIALS < 0.02
        assert slower["excluded"] / gate.TRIALS < 0.01
