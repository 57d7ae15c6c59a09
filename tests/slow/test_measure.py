"""When a process is warm, when there are enough processes, and whether the interval means what it says."""

from __future__ import annotations

import json
import math

import pytest

from bench_deepspeed.engines.fake import Noise
from bench_deepspeed.simulations import coverage


@pytest.mark.parametrize(("name", "noise"), coverage.NOISES.items(), ids=coverage.NOISES.keys())
def test_intervals_hold_the_truth_as_often_as_they_say(name, noise):
    """Of 300 runs with other seeds than the published ones 285 are expected; three binomial deviations are 11."""
    row = coverage.study(name, noise, runs=300, first=coverage.RUNS)
    assert abs(row["covered"] - 285) <= 3 * math.sqrt(300 * 0.95 * 0.05)
    assert row["mean_of_means"] == pytest.approx(row["truth"], rel=0.01)
    assert row["mean_processes"] == 3


def test_the_truth_of_the_study_is_what_a_long_run_comes_to():
    """The formula of the docstring against 200,000 warm processes of one repetition, without warm-ups."""
    noise = coverage.NOISES["all together"]
    speeds = [512 / (coverage.WARM_S * Noise(**noise, seed=n).factor(0)) for n in range(200_000)]
    assert sum(speeds) / len(speeds) == pytest.approx(coverage.truth(noise), rel=1e-3)


def published() -> dict:
    return json.loads(coverage.EVIDENCE.read_text(encoding="utf-8"))


def test_the_published_coverage_is_what_the_code_computes():
    evidence = published()
    assert evidence["rows"][0] == coverage.study("independent", coverage.NOISES["independent"], coverage.RUNS)
    assert evidence == {**coverage.settings(), "rows": evidence["rows"]}


def test_the_published_coverage_is_what_it_promises():
    rows = [row for row in published()["rows"] if row["target_ci"] is None]
    assert [row["name"] for row in rows] == list(coverage.NOISES)
    for row in rows:
        assert row["runs"] == 1000
        assert 930 <= row["covered"] <= 970
