"""Load tests in numbers: arrivals, lengths, prompts, percentiles, windows; no clock runs here."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
from types import SimpleNamespace

import numpy
import pytest
from builders import NO_SLA, workload
from builders import level_of as level
from builders import request_record as record
from scipy import stats
from support import unwrapped

from bench_deepspeed.benchmarks.load import arrivals, labels, level_statistics, prompts, traces
from bench_deepspeed.benchmarks.load import charts as load_charts
from bench_deepspeed.benchmarks.load import view as reports
from bench_deepspeed.benchmarks.load.command import p99_cost
from bench_deepspeed.benchmarks.load.generator import InFlightRequest, Plan, Window
from bench_deepspeed.benchmarks.load.kind import KIND
from bench_deepspeed.benchmarks.load.metrics import METRICS, LevelRow
from bench_deepspeed.benchmarks.load.records import LoadResult, Request
from bench_deepspeed.core.errors import BenchError, UsageError
from bench_deepspeed.report import terminal, vega


def test_gaps_between_arrivals_are_exponential_and_of_the_requested_mean():
    times = list(itertools.islice(arrivals.arrivals(4.0, seed=1), 20_000))
    gaps = numpy.diff(times)
    assert stats.kstest(gaps, stats.expon(scale=0.25).cdf).pvalue > 0.01
    assert gaps.mean() == pytest.approx(0.25, rel=4 / len(gaps) ** 0.5)
    assert abs(numpy.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 4 / len(gaps) ** 0.5


def test_the_same_seed_gives_the_same_arrivals_and_another_others():
    first, again, other = ([*itertools.islice(arrivals.arrivals(4.0, s), 50)] for s in (1, 1, 2))
    assert first == again != other
    assert [2 * t for t in itertools.islice(arrivals.arrivals(2.0, 1), 50)] != first
    assert list(itertools.islice(arrivals.arrivals(8.0, 1), 50)) == pytest.approx([t / 2 for t in first])


def test_lengths_are_normal_with_the_requested_spread():
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
        (
            '{"arrival_s": 2, "prompt_tokens": 0, "output_tokens": 2}',
            "line 3: prompt_tokens must be a whole number from 1",
        ),
        ('{"arrival_s": 2, "prompt_tokens": 2.5, "output_tokens": 2}', "line 3: prompt_tokens must be a whole number"),
        ('{"arrival_s": true, "prompt_tokens": 2, "output_tokens": 2}', "line 3: arrival_s must be a number, 0"),
        ('{"arrival_s": NaN, "prompt_tokens": 2, "output_tokens": 2}', "line 3: arrival_s must be a number, 0"),
        (
            '{"arrival_s": 0.5, "prompt_tokens": 2, "output_tokens": 2}',
            "line 3: arrival_s 0.5 is before the one above",
        ),
    ],
)
def test_a_malformed_trace_is_reported_with_its_line(line, problem, tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text(LINE + LINE.replace('"arrival_s": 0', '"arrival_s": 1') + line)
    with pytest.raises(UsageError, match=re.escape(problem)):
        traces.read(path)


def test_a_trace_is_read_and_sent_as_it_is(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text(LINE + "\n" + LINE.replace('"arrival_s": 0', '"arrival_s": 1.5'))
    rows = traces.read(path).rows
    assert rows == [(0, 5, 2), (1.5, 5, 2)]
    made = prompts.requests(workload(trace=rows, prompt_tokens=None, max_tokens=None), prompts.Words())
    assert [(asked.prompt_tokens, asked.max_tokens) for asked in made] == [(5, 2), (5, 2)]
    path.write_text(LINE)
    with pytest.raises(UsageError, match="takes two"):
        traces.read(path)


class Letters:
    """A stand-in for a tokenizer: a BOS, then a token a word."""

    def __call__(self, text: str):
        return SimpleNamespace(input_ids=[1, *text.split()])


def first_words_that_differ(texts: list[str], words: int) -> int:
    return len({tuple(text.split()[:words]) for text in texts})


def test_no_two_prompts_share_their_first_words():
    """Nor do those of other levels, and none comes again after the lengths have: a prefix cache would find nothing."""
    source = prompts.Tokens(Letters(), 4096, seed=0)
    different = prompts.requests(workload(prompt_tokens=300, max_tokens=60, spread=0.3), source)
    texts = [asked.prompt for asked in different[:3]]
    for number in (1, 2, 9):
        asked = list(itertools.islice(prompts.endless(different, source, number), 1200))
        assert [one.prompt_tokens for one in asked] == [source.count(one.prompt) for one in asked]
        assert [one.prompt_tokens for one in asked[:512]] == [one.prompt_tokens for one in asked[512:1024]]
        texts += [one.prompt for one in asked]
    assert first_words_that_differ(texts, prompts.HEAD) == len(texts)
    assert [text.split()[0] == after.split()[0] for text, after in itertools.pairwise(texts[3:])].count(True) < 5
    again = prompts.Tokens(Letters(), 4096, seed=0)
    assert again.text(7, 50) == source.text(7, 50) != prompts.Tokens(Letters(), 4096, seed=1).text(7, 50)


def test_a_tokenizer_without_the_words_is_reported_with_the_remedy():
    with pytest.raises(UsageError, match="has only 0 of the words .* give prompts of your own with --prompts"):
        prompts.Tokens(lambda text: SimpleNamespace(input_ids=list(text)), 4096, seed=0)


def test_real_prompts_are_sent_in_turn_and_must_fit():
    made = prompts.requests(workload(prompts=["a b c", "d"], prompt_tokens=None, spread=0.0), prompts.Words())
    assert [(asked.prompt, asked.prompt_tokens) for asked in made[:3]] == [("a b c", 3), ("d", 1), ("a b c", 3)]
    with pytest.raises(UsageError, match="request 1 has 3 prompt tokens and asks for 60 more"):
        prompts.fitting(made, workload(prompts=["a b c", "d"]), context_tokens=61)


def test_what_is_too_long_of_a_recorded_file_is_left_out_and_counted():
    of_trace = workload(trace=[(0.0, 3, 4), (1.0, 30, 40), (2.0, 5, 6)], trace_format="Azure", recorded=True)
    made = prompts.requests(of_trace, prompts.Words())
    sent, kept, too_long = prompts.fitting(made, of_trace, context_tokens=69)
    assert [(one.prompt_tokens, one.max_tokens) for one in sent] == [(3, 4), (5, 6)]
    assert (kept.trace, kept.trace_blocks, too_long) == ([(0.0, 3, 4), (2.0, 5, 6)], None, 1)
    assert prompts.fitting(made, of_trace, context_tokens=70) == (made, of_trace, 0)
    with pytest.raises(UsageError, match="no request of the file fits"):
        prompts.fitting(made, of_trace, context_tokens=6)
    own = dataclasses.replace(of_trace, trace_format="this suite", recorded=False)
    with pytest.raises(UsageError, match="request 2 has 30 prompt tokens and asks for 40 more"):
        prompts.fitting(made, own, context_tokens=69)
    talk = workload(prompts=["a b c", "d"], answers=["e " * 9, "f"], prompt_tokens=None, recorded=True)
    sent, _, too_long = prompts.fitting(prompts.requests(talk, prompts.Words()), talk, context_tokens=5)
    assert ({(one.prompt, one.max_tokens) for one in sent}, too_long) == ({("d", 1)}, 1)


def test_what_is_due_in_the_window_counts_however_long_it_takes():
    before, inside, after = record(1.9), record(2.0), record(12.0)
    late = record(11.9, first_s=100.0)  # it is not left out for ending after the window: it would hide the slow
    found = level_statistics.statistics_of(level([before, inside, late, after]), NO_SLA)
    assert (found.due, found.offered_per_s) == (2, 0.2)
    assert found.latencies["e2e"][50].n == 2
    assert found.requests_per_s == 0.2  # `before` and `inside` ended in the window
    assert found.goodput_per_s is None


def test_failed_requests_are_infinite_in_percentiles():
    rng = numpy.random.default_rng(5)
    whole = [record(2.0 + n / 25, first_s=float(rng.uniform(0.4, 0.6))) for n in range(240)]
    failed = [
        dataclasses.replace(one, error="reset", last_s=None) if n % 6 == 0 else one for n, one in enumerate(whole)
    ]
    found = level_statistics.statistics_of(level(failed), {"ttft_s": 1.0, "tpot_s": None})
    assert (found.due, found.failed, found.sla_share) == (240, 40, 200 / 240)
    latency = found.latencies["e2e"]
    assert latency[50].n == 240
    clean = level_statistics.statistics_of(level(whole), NO_SLA).latencies["e2e"]
    assert latency[50].value > clean[50].value
    assert latency[90].value == math.inf
    assert labels.percentile_text(latency[90]).startswith("∞ [")
    assert found.remarks == ["40 of 240 requests failed (reset): infinite in percentiles"]
    row = {m.name: m.value(LevelRow(result(levels=[level(failed)]), level(failed))) for m in METRICS}
    assert row["e2e_p50_s"] is not None
    assert row["e2e_p90_s"] is None  # no JSON can say infinite


def test_tokens_are_those_of_the_window():
    window = Window(2.0, 12.0, 14.0)
    one = InFlightRequest(Request("", 1, 3, 1.0), times=[1.5, 2.5, 3.5])
    two = InFlightRequest(Request("", 1, 2, 11.0), times=[11.5, 12.5])
    failed = InFlightRequest(Request("", 1, 2, 5.0), times=[5.0], error="x")
    assert level_statistics.tokens_in([one, two, failed], window) == 3


def test_percentiles_of_gaps_have_intervals_from_the_requests():
    """Each request has gaps of its own size: many gaps, of no more than twenty requests."""
    texts = [" ".join(["0", *[f"{10_000 + 100 * n}"] * 100]) for n in range(20)]
    made = [record(2.0 + n / 2, tokens=101, gap_s=0.01, chunks=text) for n, text in enumerate(texts)]
    found = level_statistics.statistics_of(level(made), NO_SLA).latencies["itl"]
    assert found[50].n == 2000
    assert found[50].worth <= 20
    assert found[99].value is None
    rng = numpy.random.default_rng(6)
    drawn = [
        dataclasses.replace(one, chunks=" ".join(["0", *map(str, rng.integers(9_000, 11_000, size=100))]))
        for one in made
    ]
    found = level_statistics.statistics_of(level(drawn), NO_SLA).latencies["itl"]
    assert found[50].worth > 200
    assert found[50].low < 0.01 < found[50].high


def test_percentiles_of_gaps_in_older_files_have_no_interval():
    older = level([record(2.0 + n / 2) for n in range(20)], itl_s={"p50": 0.012, "p99": 0.02})
    found = level_statistics.statistics_of(older, NO_SLA).latencies["itl"]
    assert labels.percentile_text(found[50]) == "12.0 [not measured]"
    assert 90 not in found


@pytest.mark.parametrize(
    ("lag_s", "first_s", "remarks"),
    [(0.001, 1.0, 0), (0.011, 1.0, 1), (0.009, 0.02, 1), (0.0005, 0.02, 0)],
)
def test_a_generator_that_lags_is_reported(lag_s, first_s, remarks):
    records = [record(3.0 + n / 10, first_s, tokens=1, sent_s=3.0 + n / 10 + lag_s) for n in range(50)]
    assert len(level_statistics.statistics_of(level(records), NO_SLA).remarks) == remarks
    busy = level_statistics.statistics_of(level([record(3.0)], generator_cpu_share=0.9), NO_SLA)
    assert busy.remarks == ["the load generator took 90% of a CPU"]


def test_windows_and_their_edges():
    window = Window.after(2.0, 10.0)
    assert window == Window(2.0, 12.0, 14.0)
    assert [window.holds(t) for t in (1.999, 2.0, 11.999, 12.0)] == [False, True, True, False]
    trace = Window.of_trace(12.0)
    assert [trace.holds(t) for t in (1.999, 2.0001, 12.0)] == [False, True, True]


def test_the_window_begins_at_twice_the_loaded_latency_and_is_as_long_at_least():
    plan = Plan(10.0)
    assert plan.start_s(0.1, ended=1) == 2.0  # a fifth of the seconds
    assert plan.start_s(3.0, ended=1) == 6.0
    assert plan.start_s(1000.0, ended=1) == plan.start_s(0.1, ended=0) == 40.0  # four times the seconds at most
    assert plan.window(6.0, 3.0, 5) == Window.after(6.0, 10.0)
    assert plan.window(16.0, 8.0, 5) == Window.after(16.0, 16.0)
    assert plan.window(40.0, 1000.0, 0) == Window.after(40.0, 40.0)
    assert Plan(10.0, rate=0.2).window(6.0, 3.0, 5) == Window.after(6.0, 6.0 + 25.0)


def test_a_window_is_long_enough_for_the_requested_number():
    """By the rate, or by the rate at which they ended so far where clients wait."""
    for rate in (0.5, 4.0):
        seconds = arrivals.seconds_for(736, rate)
        assert 0.99 <= stats.poisson.sf(735, rate * seconds) < 0.995
        assert Plan(10.0, 736, rate).window(2.0, 0.1, 9).end_s == 2.0 + seconds
    assert Plan(10.0, 736).window(2.0, 0.1, 8).end_s == 2.0 + arrivals.seconds_for(736, 4.0)


def test_the_cost_of_a_99th_percentile_is_said():
    told = p99_cost([0.5, 4.0], p99=False)
    assert "needs 368 independent requests" in told
    assert f"{arrivals.seconds_for(736, 0.5):.0f} s at 0.5 requests/s" in told
    assert p99_cost([], p99=True).endswith("736 or more in a window")


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
    drawn = numpy.random.default_rng(0).uniform(0.4, 0.6, size=20)
    requests = [record(2.0 + n / 4, first_s=float(first_s)) for n, first_s in enumerate(drawn)]
    levels = [level(requests), level(requests, clients=None, rate=1.0)]
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
    assert "maximum sustainable request rate: not measured" in unwrapped(shown)
    assert "| 1 client " in shown
    assert "± 30%" in shown
    assert "not measured at any level: TTFT p99, TPOT p99, E2E p99 (it takes 368" in unwrapped(shown)


def test_each_level_is_one_row_of_single_figures_in_ms():
    one = result()
    assert "| requests/s offered | requests/s achieved |" in terminal.render(reports.view(one), 400)
    assert "| TTFT median, ms |" in terminal.render(reports.view(one), 400)
    for width in (80, 120):
        lines = terminal.render(reports.view(one), width).splitlines()
        levels = [line for line in lines if line.startswith("| ") and re.match(r"\| \d", line)]
        assert [line.split("|")[1].strip() for line in levels] == [level.name for level in one.levels]
        assert not any("[" in line for line in levels)
        assert max(map(len, lines)) <= width


def test_the_plot_has_a_curve_for_each_loop_of_each_test():
    chart = load_charts.latency("SmolLM2", [result(), result(levels=result().levels[:1])])
    svg = vega.svg(chart)
    names = [series.name for series in chart.series]
    assert names == [
        "32 + 8 tokens ± 30%, by clients, test 1",
        "32 + 8 tokens ± 30%, by request rate",
        "32 + 8 tokens ± 30%, by clients, test 2",
    ]
    assert chart.y.unit == "ms"
    assert all(point.interval and point.interval[0] <= point.y <= point.interval[1] for point in chart.points)
    assert vega.svg(chart) == svg


def test_what_measures_the_generator_only_is_not_published():
    assert KIND.refusal(result(status="complete")) is None
    assert KIND.refusal(result(status="complete", model={"title": "no model"}))
    assert "interrupted" in KIND.refusal(result(status="interrupted"))
