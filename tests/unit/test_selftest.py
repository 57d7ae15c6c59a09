"""The self-test: its interval, its verdicts, and the whole of it with the fake engine and a real one."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from scipy import stats
from support import no_progress

from bench_deepspeed.benchmarks.selftest import command, measure, verdict
from bench_deepspeed.benchmarks.selftest.records import TimedBlock
from bench_deepspeed.core.errors import BenchError

BUDGET_S = 60.0


def blocks_of(ratios) -> Iterator[dict]:
    """Blocks whose harness makes `ratio` times the tokens/s of the bare loop."""
    for ratio in ratios:
        yield TimedBlock([1.0 / ratio, 1.0 / ratio], [1.0, 1.0])


def compared(ratios, budget_s: float = BUDGET_S, known_s: float | None = None) -> command.ClockComparison:
    return measure.compare(blocks_of(ratios), "x", budget_s, no_progress, known_s=known_s)


def noisy(ratio: float, spread: float, seed: int):
    """Ratios with that median, of a skewed distribution."""
    draw = random.Random(seed)
    while True:
        yield ratio * math.exp(spread * (draw.expovariate(1.0) - math.log(2)))


@pytest.mark.parametrize("n", [1, 6, 7, 8, 33, 200, 3000])
@pytest.mark.parametrize("error", [0.05, 0.0125])
def test_the_interval_is_scipys_and_as_sure_as_it_says(n, error):
    values = random.Random(n).sample(range(10 * n), n)
    interval = verdict.median_interval(values, error)
    if interval is None:
        assert 2 * stats.binom.cdf(0, n, 0.5) > error  # not even all values are sure enough
        return
    low, high = interval
    k = sorted(values).index(low) + 1
    assert sorted(values)[n - k] == high
    assert 2 * stats.binom.cdf(k - 1, n, 0.5) <= error < 2 * stats.binom.cdf(k, n, 0.5)


def test_a_steady_drift_cancels_out_of_a_block():
    a, b, c, d = (0.1 * 1.07**step for step in range(4))
    assert verdict.block_ratio([a, d], [b, c]) == pytest.approx(1.0, abs=1e-12)
    assert verdict.block_ratio([2 * a, 2 * d], [b, c]) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(
    ("ratio", "word"), [(1.0, "pass"), (0.996, "pass"), (1.004, "pass"), (0.99, "fail"), (1.01, "fail")]
)
def test_the_verdict_follows_the_ratio(ratio, word):
    result = compared(itertools.repeat(ratio))
    assert result.verdict == word
    assert result.low == result.ratio == result.high == pytest.approx(ratio)
    assert len(result.harness_s) == len(result.bare_s) == 2 * verdict.FIRST_LOOK


def test_without_time_nothing_is_shown():
    result = compared(itertools.repeat(1.0), budget_s=0.0)
    assert result.verdict == "not shown"
    assert (result.low, result.high) == (None, None)
    assert len(result.harness_s) == 2


@pytest.fixture
def a_second_a_block(monkeypatch) -> None:
    now = itertools.count()
    monkeypatch.setattr(measure, "time", SimpleNamespace(monotonic=lambda: float(next(now))))


def test_what_straddles_the_limit_takes_more_blocks_until_time_is_up(a_second_a_block):
    result = compared(itertools.cycle([0.99, 1.01]), budget_s=100.0)
    assert result.verdict == "not shown"
    assert len(result.harness_s) == 2 * 100
    assert result.low < 1 - verdict.LIMIT < 1 + verdict.LIMIT < result.high


def test_a_saved_comparison_is_made_again_from_its_times(a_second_a_block):
    """Whether it ended at a look or between two, of whichever number of times a block."""
    for ratios, budget_s in ((itertools.repeat(1.0), 60.0), (noisy(1.0, 0.02, 1), 20.0), (noisy(1.0, 0.02, 2), 33.0)):
        made = compared(ratios, budget_s)
        assert verdict.again(made) == made
    nested = verdict.comparison("x, nested", None, [TimedBlock([1.001], [1.0])] * 9)
    assert verdict.again(nested) == nested


def test_a_time_shorter_than_the_known_one_is_a_failure():
    assert compared(itertools.repeat(1.0), known_s=1.0).verdict == "pass"
    assert compared(itertools.repeat(1.0), known_s=1.001).verdict == "fail"


def test_looking_again_and_again_does_not_find_a_pass_by_chance(a_second_a_block):
    """The suite's share is the limit and a hair: at most one in twenty self-tests may say that it is below."""
    tests = 300
    passed = sum(compared(noisy(0.99499, 0.01, seed), budget_s=600.0).verdict == "pass" for seed in range(tests))
    assert passed <= stats.binom.ppf(0.999, tests, verdict.ERROR)


def comparison(name: str, verdict: str) -> command.ClockComparison:
    return command.ClockComparison(name, None, [1.0], [1.0], 1.0, None, None, verdict)


@pytest.mark.parametrize(
    ("known", "nested", "interleaved", "error"),
    [
        ("pass", "pass", "pass", None),
        ("pass", "pass", "not shown", None),
        ("pass", "not shown", "pass", "inconclusive for nested"),
        ("not shown", "pass", "pass", "inconclusive for known"),
        ("pass", "pass", "fail", "more than 0.5%: interleaved"),
        ("pass", "fail", "not shown", "more than 0.5%: nested"),
    ],
)
def test_what_passes(known, nested, interleaved, error, capsys):
    parts = [comparison(*pair) for pair in (("known", known), ("nested", nested), ("interleaved", interleaved))]
    if error is None:
        command._require_pass(parts)
        assert ("interleaved" in capsys.readouterr().out) == (interleaved == "not shown")
    else:
        with pytest.raises(BenchError, match=error):
            command._require_pass(parts)
