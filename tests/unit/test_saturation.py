"""Whether a rate is sustained, the bracket of several, and the queues that this is simulated with."""

from __future__ import annotations

import json

import numpy
import pytest
from builders import level_of as level
from builders import request_record as record

from bench_deepspeed.benchmarks.load import saturation
from bench_deepspeed.benchmarks.load import view as load_view
from bench_deepspeed.benchmarks.load.generator import Plan, Window
from bench_deepspeed.benchmarks.load.records import Level
from bench_deepspeed.measure.distributions import student_quantile
from bench_deepspeed.simulations import saturation as simulated
from bench_deepspeed.simulations.view import simulation_table


def at(rate: float, slower_s: float = 0.0, count: int = 400, **changes) -> Level:
    """So many requests, evenly over a window of ten seconds, each of which takes longer than the one before."""
    width = 10.0 / count
    made = [record(2.0 + n * width, 0.1 + slower_s * n, tokens=1, **changes) for n in range(-count // 5, count)]
    return level(made, clients=None, rate=rate)


def test_the_interval_is_of_the_steps_of_the_number_in_flight():
    """A hundred arrivals a second, each of which takes a millisecond longer: a tenth of them pile up (Little)."""
    rng = numpy.random.default_rng(0)
    made = [record(2.0 + n / 100, float(rng.uniform(0.5, 1.5)) + 0.001 * n, tokens=1) for n in range(-200, 1000)]
    one = level(made, clients=None, rate=100.0)
    verdict = saturation.judge(one)
    edges = [sum(r.due_s <= t < r.last_s for r in made) for t in numpy.linspace(2.0, 12.0, 11)]
    steps = numpy.diff(edges)
    assert verdict.piled == pytest.approx((edges[-1] - edges[0]) / 1000)
    assert verdict.high - verdict.piled == pytest.approx(student_quantile(9) * steps.std(ddof=1) * 10**0.5 / 1000)
    assert (verdict.state, verdict.low > 0) == ("not sustained", True)


def test_a_latency_that_is_long_and_level_is_sustained():
    assert saturation.judge(at(40.0)).state == "sustained"
    slow = [record(2.0 + n / 40, first_s=5.0, tokens=1) for n in range(-300, 400)]
    assert saturation.judge(level(slow, clients=None, rate=40.0)).state == "sustained"
    assert saturation.judge(at(40.0, slower_s=0.01)).state == "not sustained"


def test_too_few_requests_are_inconclusive():
    few = saturation.judge(at(4.0, count=saturation.MIN_REQUESTS - 1))
    assert few.words == "inconclusive: fewer than 50 requests"
    assert saturation.judge(level([], clients=None, rate=1.0)).state == "inconclusive"
    rng = numpy.random.default_rng(1)
    noisy = [record(2.0 + n / 10, float(rng.exponential(2.0)), tokens=1) for n in range(-20, 100)]
    assert saturation.judge(level(noisy, clients=None, rate=10.0)).words.startswith("inconclusive: ")


def test_the_bracket_is_of_offered_rates():
    """99 a second were requested, 40 came: nothing more was shown."""
    levels = [at(20.0, count=200), at(99.0), at(60.0, slower_s=0.01, count=600)]
    assert saturation.bracket(levels) == saturation.Bracket(40.0, 60.0)
    assert saturation.bracket([at(20.0, count=200), at(40.0, error="x")]) == saturation.Bracket(20.0, None)
    assert saturation.bracket([level([record(3.0)])]) == saturation.Bracket(None, None)
    assert load_view.bracket_words(levels) == (
        "at least 40 requests/s and less than 60 requests/s, as offered (confidence of each end: 97.5%)"
    )
    assert load_view.bracket_words(levels[:1]).startswith("at least 20 requests/s, as offered (")
    assert load_view.bracket_words([]) == "not measured"


def test_the_simulated_queues_serve_as_they_say():
    assert simulated.fifo([0.0, 0.5, 3.0], servers=1) == [1.0, 2.0, 4.0]
    assert simulated.fifo([0.0, 0.5, 0.6], servers=2) == [1.0, 1.5, 2.0]
    # alone until 0.5, then at half the speed each until the first has its work
    assert simulated.sharing([0.0, 0.5], servers=1) == [1.5, 2.0]
    assert simulated.sharing([0.0, 0.5, 9.0], servers=2) == [1.0, 1.5, 10.0]


def test_the_simulated_warm_up_is_the_generators():
    """One request takes three seconds, the others one: the window begins at the first arrival from second six on."""
    arrivals = [n / 2 for n in range(40)]
    ends = [max(n / 2 + 1.0, 3.0) for n in range(40)]
    plan = Plan(10.0)
    assert simulated.settled(plan, arrivals, ends) == Window.after(6.0, 10.0)
    assert simulated.settled(plan, arrivals[:9], ends[:9]) is None


def test_the_published_simulation_is_of_these_rules():
    """A few seeds again, on the queue that takes least time; how often near the limit is in the published file."""
    published = json.loads(simulated.EVIDENCE.read_text())
    assert published["utilizations"] == list(simulated.UTILIZATIONS)
    assert published["series"] == list(simulated.SERIES)
    assert [(row["served"], row["services"]) for row in published["rows"]] == list(simulated.KINDS)
    assert simulated.states(1.5, "one after the other", 100, runs=5) == {"sustained": 0, "not sustained": 5}
    for row in published["rows"]:
        by_utilization = dict(zip(published["utilizations"], row["states"], strict=True))
        assert all(by_utilization[u]["not sustained"] <= 0.05 * published["runs"] for u in (0.5, 0.8, 0.9, 0.95))
        assert all(by_utilization[u]["sustained"] <= 0.05 * published["runs"] for u in (1.1, 1.2, 1.5))
    assert "capacity" in simulation_table(published, "saturation")
