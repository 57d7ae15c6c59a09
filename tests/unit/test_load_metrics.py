"""Load tests in numbers: arrivals, lengths, percentiles, windows, service levels, saturation; no clock runs here."""

from __future__ import annotations

import itertools
import json
import re

import numpy
import pytest
from builders import NO_SLA, workload
from builders import level_of as level
from builders import request_record as record
from scipy import stats
from support import unwrapped

from bench_deepspeed.benchmarks.load import arrivals, level_statistics, prompts, saturation
from bench_deepspeed.benchmarks.load import charts as load_charts
from bench_deepspeed.benchmarks.load import view as reports
from bench_deepspeed.benchmarks.load.generator import InFlightRequest, Window
from bench_deepspeed.benchmarks.load.kind import KIND
from bench_deepspeed.benchmarks.load.records import Level, LoadResult, Request
from bench_deepspeed.core.errors import BenchError, UsageError
from bench_deepspeed.report import terminal, vega
from bench_deepspeed.simulations import saturation as simulated


def test_gaps_between_arrivals_are_exponential_and_of_the_mean_asked_for():
    times = list(itertools.islice(arrivals.poisson(4.0, seed=1), 20_000))
    gaps = numpy.diff(times)
    assert stats.kstest(gaps, stats.expon(scale=0.25).cdf).pvalue > 0.01
    assert gaps.mean() == pytest.approx(0.25, rel=4 / len(gaps) ** 0.5)
    assert abs(numpy.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 4 / len(gaps) ** 0.5


def test_the_same_seed_gives_the_same_arrivals_and_another_others():
    first, again, other = ([*itertools.islice(arrivals.poisson(4.0, s), 50)] for s in (1, 1, 2))
    assert first == again != other
    assert [2 * t for t in itertools.islice(arrivals.poisson(2.0, 1), 50)] != first
    assert list(itertools.islice(arrivals.poisson(8.0, 1), 50)) == pytest.approx([t / 2 for t in first])


def test_lengths_are_normal_with_the_spread_asked_for():
    drawn = numpy.array(arrivals.lengths(workload(), 10**6, 5000))
    for values, mean in zip(drawn.T, (2600, 60), strict=True):
        assert values.mean() == pytest.approx(mean, rel=0.02)
        assert values.std() == pytest.approx(0.3 * mean, rel=0.05)
    assert stats.kstest((drawn[:, 0] - 2600) / 780, "norm").pvalue > 0.01
    assert abs(numpy.corrcoef(drawn.T)[0, 1]) < 4 / 5000**0.5


def test_lengths_are_at_least_one_token_and_fit_the_context():
    drawn = arrivals.lengths(workload(prompt_tokens=50, max_tokens=40, spread=1.0), 100, 2000)
    assert min(min(pair) for pair in drawn) == 1
    assert max(sum(pair) for pair in drawn) == 100
    assert set(arrivals.lengths(workload(spread=0.0), 4096, 10)) == {(2600, 60)}
    with pytest.raises(UsageError, match="2600 prompt tokens and 60 new ones do not fit the model's context of 2048"):
        arrivals.lengths(workload(), 2048, 1)


LINE = '{"arrival_s": 0, "prompt_tokens": 5, "output_tokens": 2}\n'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nothing", "line 3: not JSON"),
        ("[1]", "line 3: arrival_s, prompt_tokens, output_tokens are expected"),
        ('{"arrival_s": 1, "prompt_tokens": 0, "output_tokens": 2}', "line 3: prompt_tokens must be a whole number, 1"),
        ('{"arrival_s": 1, "prompt_tokens": 2.5, "output_tokens": 2}', "line 3: prompt_tokens must be a whole number"),
        ('{"arrival_s": true, "prompt_tokens": 2, "output_tokens": 2}', "line 3: arrival_s must be a number, 0"),
        ('{"arrival_s": NaN, "prompt_tokens": 2, "output_tokens": 2}', "line 3: arrival_s must be a number, 0"),
        (
            '{"arrival_s": 0.5, "prompt_tokens": 2, "output_tokens": 2}',
            "line 3: arrival_s 0.5 is before the one above",
        ),
    ],
)
def test_a_malformed_trace_is_told_with_its_line(line, problem, tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text(LINE + LINE.replace('"arrival_s": 0', '"arrival_s": 1') + line)
    with pytest.raises(UsageError, match=re.escape(problem)):
        arrivals.read_trace(path)


def test_a_trace_is_read_and_sent_as_it_is(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text(LINE + "\n" + LINE.replace('"arrival_s": 0', '"arrival_s": 1.5'))
    rows = arrivals.read_trace(path)
    assert rows == [(0, 5, 2), (1.5, 5, 2)]
    made = prompts.requests(workload(trace=rows, prompt_tokens=None, max_tokens=None), prompts.Words())
    assert [(asked.prompt_tokens, asked.max_tokens) for asked in made] == [(5, 2), (5, 2)]
    path.write_text(LINE)
    with pytest.raises(UsageError, match="takes two"):
        arrivals.read_trace(path)


def test_real_prompts_are_sent_in_turn_and_must_fit():
    made = prompts.requests(workload(prompts=["a b c", "d"], prompt_tokens=None, spread=0.0), prompts.Words())
    assert [(asked.prompt, asked.prompt_tokens) for asked in made[:3]] == [("a b c", 3), ("d", 1), ("a b c", 3)]
    narrow = prompts.Words()
    narrow.context_tokens = 61
    with pytest.raises(UsageError, match="request 1 has 3 prompt tokens and asks for 60 more"):
        prompts.requests(workload(prompts=["a b c"], prompt_tokens=None, spread=0.0), narrow)


def test_percentiles_are_numpys():
    values = list(numpy.random.default_rng(3).gamma(2.0, size=137))
    assert level_statistics.percentiles(values) == {f"p{p}": numpy.percentile(values, p) for p in (50, 90, 95, 99)}
    assert level_statistics.percentiles([]) is None


def test_the_moving_average_is_fastgens():
    """pandas' ewm(span=16).mean(), which the benchmark of FastGen's post uses: weights normalized at each step."""
    gaps = [0.1, 0.9, 0.1, 0.2, 0.05]
    alpha = 2 / 17
    weights = [[(1 - alpha) ** (i - j) for j in range(i + 1)] for i in range(len(gaps))]
    averages = [numpy.average(gaps[: len(w)], weights=w) for w in weights]
    assert level_statistics.slowest_ema(gaps) == pytest.approx(max(averages))
    assert level_statistics.slowest_ema([0.3]) == pytest.approx(0.3)
    assert level_statistics.slowest_ema([]) is None


def test_the_plain_service_level():
    made = record(first_s=0.5, gap_s=0.1)
    assert level_statistics.meets(made, {"ttft_s": 0.5, "tpot_s": 0.10001})
    assert not level_statistics.meets(made, {"ttft_s": 0.4999, "tpot_s": None})
    assert not level_statistics.meets(made, {"ttft_s": None, "tpot_s": 0.0999})
    assert level_statistics.meets(record(tokens=1), {"ttft_s": 1.0, "tpot_s": 0.001})
    assert not level_statistics.meets(record(error="no answer"), {"ttft_s": 9.0, "tpot_s": 9.0})


def test_fastgens_service_level():
    assert level_statistics.meets_fastgen(record(first_s=1.0, gap_s=0.24), 4)  # 512 prompt tokens may take one second
    assert not level_statistics.meets_fastgen(record(first_s=1.001, gap_s=0.24), 4)
    assert not level_statistics.meets_fastgen(record(first_s=1.0, gap_s=0.26), 4)
    assert level_statistics.meets_fastgen(record(first_s=1.0, gap_s=0.26), 2)
    assert level_statistics.meets_fastgen(record(first_s=1.0, tokens=1), 6)
    assert not level_statistics.meets_fastgen(record(error="no answer"), 2)


def test_what_is_due_in_the_window_counts_however_long_it_takes():
    before, inside, after = record(1.9), record(2.0), record(12.0)
    late = record(11.9, first_s=100.0)  # it is not left out for ending after the window: it would hide the slow
    found = level_statistics.statistics_of(level([before, inside, late, after]), NO_SLA)
    assert (found.due, found.offered_per_s) == (2, 0.2)
    assert found.e2e_s["p50"] == pytest.approx(numpy.median([0.9, 100.4]))
    assert found.requests_per_s == 0.2  # `before` and `inside` ended in the window
    assert found.good_per_s is None


def test_failed_requests_are_counted_apart():
    failed = [record(3.0, error="x", last_s=None, first_s=99.0), record(4.0, error="x", first_s=99.0, sent_s=None)]
    found = level_statistics.statistics_of(level([record(5.0), *failed]), {"ttft_s": 1.0, "tpot_s": None})
    assert (found.due, found.failed) == (3, 2)
    assert found.e2e_s["p99"] == pytest.approx(0.9)
    assert (found.requests_per_s, found.good_per_s) == (0.1, 0.1)
    assert found.effective_per_s == {2: 0.1, 4: 0.1, 6: 0.1}
    assert found.remarks == ["2 of 3 requests failed (x)"]


def test_tokens_and_gaps_are_those_of_the_window():
    window = Window(2.0, 12.0, 14.0)
    one = InFlightRequest(Request("", 1, 3, 1.0), times=[1.5, 2.5, 3.5])
    two = InFlightRequest(Request("", 1, 2, 11.0), times=[11.5, 12.5])
    failed = InFlightRequest(Request("", 1, 2, 5.0), times=[5.0], error="x")
    assert level_statistics.tokens_in([one, two, failed], window) == 3
    assert level_statistics.itl([one, two, failed], window)["p50"] == 1.0
    made = level_statistics.record(two)
    assert (made.due_s, made.first_s, made.last_s, made.new_tokens, made.slowest_ema_s) == (11.0, 11.5, 12.5, 2, 1.0)


@pytest.mark.parametrize(
    ("lag_s", "first_s", "remarks"),
    [(0.001, 1.0, 0), (0.011, 1.0, 1), (0.009, 0.02, 1), (0.0005, 0.02, 0)],
)
def test_a_generator_that_lags_is_told_of(lag_s, first_s, remarks):
    records = [record(3.0 + n / 10, first_s, tokens=1, sent_s=3.0 + n / 10 + lag_s) for n in range(50)]
    assert len(level_statistics.statistics_of(level(records), NO_SLA).remarks) == remarks
    busy = level_statistics.statistics_of(level([record(3.0)], generator_cpu_share=0.9), NO_SLA)
    assert busy.remarks == ["the load generator took 90% of a CPU"]


def test_windows_and_their_edges():
    window = Window.settled(10.0, first_s=0.1)
    assert window == Window(2.0, 12.0, 14.0)
    assert [window.holds(t) for t in (1.999, 2.0, 11.999, 12.0)] == [False, True, True, False]
    # A fifth would be over before the load is there.
    assert Window.settled(10.0, first_s=3.0) == Window(6.0, 16.0, 22.0)
    assert Window.settled(10.0, first_s=6.0) == Window(10.0, 20.0, 30.0)
    trace = Window.of_trace(12.0)
    assert [trace.holds(t) for t in (1.999, 2.0001, 12.0)] == [False, True, True]


def test_the_simulated_queues_serve_as_they_say():
    assert simulated.fifo([0.0, 0.5, 3.0], servers=1) == [1.0, 2.0, 4.0]
    assert simulated.fifo([0.0, 0.5, 0.6], servers=2) == [1.0, 1.5, 2.0]
    # alone until 0.5, then at half the speed each until the first has its work
    assert simulated.sharing([0.0, 0.5], servers=1) == [1.5, 2.0]
    assert simulated.sharing([0.0, 0.5, 9.0], servers=2) == [1.0, 1.5, 10.0]


def test_neither_growth_nor_a_shortfall_alone_is_saturation():
    growing = [record(2.0 + n / 10, first_s=0.001 * n, tokens=1) for n in range(100)]
    judged = saturation.judge(level(growing, clients=None, rate=10.0))
    assert (judged.saturated, judged.words) == (False, "settled")
    assert judged.slope == pytest.approx(0.1, rel=0.1)  # ten a second, each takes 0.01 s a second longer: Little's law
    assert judged.p < 0.01
    slow = [record(2.0 + n / 10, first_s=5.0, tokens=1) for n in range(-50, 100)]
    judged = saturation.judge(level(slow, clients=None, rate=10.0))
    assert (judged.saturated, judged.completed) == (False, 1.0)
    at_the_end = [record(2.0 + n / 8, first_s=0.1, tokens=1) for n in range(80)] + 20 * [record(11.99, 0.1, tokens=1)]
    judged = saturation.judge(level(at_the_end, clients=None, rate=10.0))
    assert (judged.saturated, judged.completed) == (False, 0.8)


def test_the_highest_sustained_rate():
    def at(rate: float, first_s: float = 0.1, count: int = 100, **changes) -> Level:
        width = 10.0 / count
        made = [record(2.0 + n * width, first_s * (1 + n), tokens=1, **changes) for n in range(count)]
        return level(made, clients=None, rate=rate)

    assert saturation.highest_sustained([at(1.0, 0.0), at(2.0, 0.0), at(3.0, 1.0)]) == 2.0
    assert saturation.highest_sustained([at(1.0, 0.0), at(2.0, 0.0, error="x")]) == 1.0
    few = at(4.0, 0.0, count=saturation.MIN_REQUESTS - 1)
    assert "fewer than" in saturation.judge(few).words
    assert saturation.highest_sustained([few]) is None
    assert saturation.judge(level([], clients=None, rate=1.0)).completed is None


def result(**changes) -> LoadResult:
    scenario = {
        "model": "smollm2",
        "engine": "deepspeed",
        "device": "cpu",
        "precision": "float32",
        "weights": "pretrained",
    }
    target = {"name": "sequential", "summary": "", "service": "sequential service"}
    sent = {"prompt_tokens": 32, "max_tokens": 8, "spread": 0.3}
    made = {
        "scenario": scenario,
        "target": target,
        "workload": sent,
        "sla": NO_SLA,
        "started_at": "2026-01-02T03:04:05",
    }
    levels = [level([record(3.0)]), level([record(3.0)], clients=None, rate=1.0)]
    return LoadResult(
        **{**made, "model": {"name": "smollm2", "title": "SmolLM2", "digest": "d"}, "levels": levels, **changes}
    )


def test_a_result_is_saved_and_read_back(tmp_path):
    path = tmp_path / "load.json"
    result().save(path)
    assert LoadResult.load(path) == result()
    path.write_text(json.dumps({**json.loads(path.read_text()), "kind": "sweep"}))
    with pytest.raises(BenchError, match="not a load test of this suite"):
        LoadResult.load(path)


def test_the_table_says_how_it_was_served():
    shown = terminal.render(reports.view(result()))
    assert "sequential service" in unwrapped(shown)
    assert "highest sustained rate: not measured" in shown
    assert "| 1 client " in shown
    assert "± 30%" in shown


def test_the_plot_has_a_curve_for_each_loop_of_each_test():
    chart = load_charts.latency("SmolLM2", [result(), result(levels=[level([record(3.0)])])])
    svg = vega.svg(chart)
    assert svg.count("labelled with its clients") == 2
    assert svg.count("labelled with its rate") == 1
    assert vega.svg(chart) == svg


def test_what_measures_the_generator_only_is_not_published():
    assert KIND.refusal(result(status="complete")) is None
    assert KIND.refusal(result(status="complete", model={"title": "no model"}))
    assert "interrupted" in KIND.refusal(result(status="interrupted"))
