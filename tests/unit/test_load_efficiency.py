"""What a level makes of its GPUs: the interval of its tokens/s, its cost, and the chart of GPU and user."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
from builders import level_of as level
from builders import load as load_result
from builders import request_record as record

from bench_deepspeed.benchmarks.common.kind import Item
from bench_deepspeed.benchmarks.load import charts, efficiency, view
from bench_deepspeed.benchmarks.load.kind import KIND
from bench_deepspeed.benchmarks.load.records import Level, LoadResult
from bench_deepspeed.measure.statistics import series_interval
from bench_deepspeed.report import terminal
from bench_deepspeed.results import export

CHUNKS = "0 100000 100000 100000 100000"


def item(result: LoadResult) -> Item:
    return Item(KIND, Path("load.json"), "0" * 64, result)


def steady(count: int = 200, gap_s: float = 0.1, **changes) -> Level:
    """Requests evenly over more than the window from 2 s to 12 s, of five tokens each."""
    chunks = " ".join(["0", *[f"{round(1e6 * gap_s)}"] * 4])
    made = [record(15 * n / count, gap_s=gap_s, chunks=chunks) for n in range(count)]
    tokens = sum(2 <= r.first_s + n * gap_s < 12 for r in made for n in range(5))
    return level(made, tokens_in_window=tokens, **changes)


def of(*levels: Level, **changes) -> LoadResult:
    return dataclasses.replace(load_result(), levels=list(levels), stopped=None, **changes)


def test_the_interval_of_tokens_a_second_is_of_ten_parts_of_the_window():
    rng = numpy.random.default_rng(1)
    made = [record(float(due), chunks=CHUNKS) for due in sorted(rng.uniform(0, 15, 300))]
    times = [r.first_s + 0.1 * n for r in made for n in range(5)]
    counts, _ = numpy.histogram(times, bins=10, range=(2.0, 12.0))
    expected = series_interval([float(count) for count in counts])
    assert efficiency.tokens_interval(level(made)) == pytest.approx((expected.low, expected.high), rel=0.02)
    low, high = efficiency.tokens_interval(steady())
    assert low <= 200 / 3 <= high < 1.1 * low
    assert efficiency.tokens_interval(level([record(3.0)])) is None  # an older file
    chunked = [dataclasses.replace(one, chunks="0x2 200000x3") for one in made]
    whole = [dataclasses.replace(one, chunks="0 200000") for one in made]  # chunks that count as one, of five tokens
    assert all(efficiency.tokens_interval(level(one)) for one in (chunked, whole))


def test_a_million_tokens_cost_what_their_time_does():
    (row,) = KIND.rows(of(steady(), gpu_hour=2.5))
    shown = {metric.name: metric for metric in KIND.metrics}
    cost, speed = shown["cost_per_million_tokens"], row.statistics.tokens_per_s
    assert cost.value(row) == pytest.approx(2.5 / 3600 / speed * 1e6)
    low, high = cost.interval(row)
    assert low <= cost.value(row) <= high
    assert 2.5 / 3600 / low * 1e6 == pytest.approx(row.tokens_interval[1])
    assert shown["cost_per_million_tokens"].value(KIND.rows(of(steady()))[0]) is None
    remote = {"name": "openai", "url": "http://localhost:8000/v1", "service": "a server", "fields": [], "lengths": "x"}
    four = of(steady(), gpu_hour=2.5, target=remote, gpus=4)
    assert cost.value(KIND.rows(four)[0]) == pytest.approx(4 * cost.value(row))
    assert shown["tokens_per_s_per_gpu"].value(KIND.rows(four)[0]) == pytest.approx(speed / 4)
    unknown = of(steady(), gpu_hour=2.5, target=remote)
    assert cost.value(KIND.rows(unknown)[0]) is None


def test_the_price_is_shown_with_the_cost():
    text = " ".join(terminal.render(KIND.view(of(steady(), gpu_hour=2.5))).split())
    assert "cost: 2.5 for an hour of 1 GPU" in text
    assert "| 66.70 | 10.4 |" in text
    assert "cost" not in terminal.render(KIND.view(of(steady())))
    assert "cost of 1M tokens" in terminal.render(KIND.overview([item(of(steady(), gpu_hour=2.5))], False))
    target = {"name": "openai", "url": "http://localhost/v1"}
    assert "--gpus says" in view._price(of(gpu_hour=1.0, target=target))


def test_a_report_takes_a_price(tmp_path):
    path = tmp_path / "load.json"
    of(steady()).save(path)
    options = SimpleNamespace(files=[path], format="jsonl", output=tmp_path / "out", samples=False, gpu_hour=3.6)
    export.run(options)
    (line,) = map(json.loads, (tmp_path / "out").read_text().splitlines())
    assert line["cost_per_million_tokens"] == pytest.approx(1000 / line["tokens_per_s"])
    assert line["cost_per_million_tokens_low"] <= line["cost_per_million_tokens"]
    assert line["tokens_per_s_per_user"] == pytest.approx(10.0)


def test_prices_that_are_none_are_refused(bench):
    assert "'0' is not a price above 0" in bench.refusal(2, "load", "--gpu_hour", "0")
    assert "--gpus is of --target openai" in bench.refusal(2, "load", "--gpus", "2")
    assert "--gpu_hour goes with a --format" in bench.refusal(2, "report", "--gpu_hour", "2")


def test_the_chart_has_measured_points_only_and_marks_those_that_are_beaten():
    """More tokens/s of a GPU and slower for a user, then slower for both; a second test is better than all of it."""
    levels = [steady(100, 0.05, clients=1), steady(200, 0.1, clients=4), steady(150, 0.2, clients=8)]
    one = charts.pareto("A model", [of(*levels)])
    (series,) = one.series
    assert series.stroke == "none"
    assert [(point.label, point.flagged) for point in series.points] == [("1", False), ("4", False), ("8", True)]
    assert [point.x for point in series.points] == pytest.approx([20.0, 10.0, 5.0])
    assert all(point.interval for point in series.points)
    better = of(steady(400, 0.05, clients=None, rate=40.0))
    both = charts.pareto("A model", [of(*levels), better])
    points = [point for series in both.series for point in series.points]
    assert [(point.label, point.flagged) for point in points] == [
        ("1", True),
        ("4", True),
        ("8", True),
        ("40/s", False),
    ]
    longer = dataclasses.replace(better, workload=better.workload | {"prompt_tokens": 4096})
    apart = charts.pareto("A model", [of(*levels), longer])  # other requests: no rival
    assert [point.flagged for series in apart.series for point in series.points] == [False, False, True, False]
    assert charts.pareto("A model", [of(level([record(3.0, tokens=1)]))]) is None  # one token has no TPOT
    assert charts.pareto("A model", [of(levels[0])]) is None  # no trade
