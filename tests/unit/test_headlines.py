"""What the page says first: the fastest configuration, its baseline, and the ratio with its interval."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from builders import comparison_of, result, steady_result

from bench_deepspeed.benchmarks.ab.records import AbResult
from bench_deepspeed.benchmarks.common.kind import Item
from bench_deepspeed.benchmarks.registry import kind
from bench_deepspeed.measure.ratio import speed_ratio
from bench_deepspeed.results.page import headlines


def item(name: str, content, path: str) -> Item:
    return Item(kind(name), Path(path), "", content)


def runs(*contents) -> list[Item]:
    return [item("run", content, f"{n}.json") for n, content in enumerate(contents)]


def compared(*pairs: tuple[list[float], list[float]], engines=("mii", "transformers")) -> AbResult:
    """A comparison of these seconds of two engines."""
    one = comparison_of(*pairs)
    for side, engine in zip((one.a, one.b), engines, strict=True):
        side.scenario = dataclasses.replace(side.scenario, engine=engine)
    return one


def test_a_comparison_is_the_faster_side_over_the_slower_one():
    slower = compared(([1.0, 1.1, 0.9], [2.0, 2.3, 1.9]), ([1.0, 1.0, 1.0], [2.1, 2.0, 2.2]))
    (found,) = headlines([item("ab", slower, "ab.json")])
    assert found.best.startswith(slower.a.scenario.engine)
    assert float(found.ratio) > 1
    low, high = map(float, found.interval.strip("[]").split(", "))
    assert low < float(found.ratio) < high
    mirrored = compared(([2.0, 2.3, 1.9], [1.0, 1.1, 0.9]), ([2.1, 2.0, 2.2], [1.0, 1.0, 1.0]))
    (other,) = headlines([item("ab", mirrored, "ab.json")])
    assert (other.ratio, other.interval) == (found.ratio, found.interval)
    assert other.best.startswith(mirrored.b.scenario.engine)


def test_runs_of_the_same_work_are_held_against_plain_transformers():
    fast, slow = steady_result(3.0, 3.1, 3.2), steady_result(1.0, 1.1, 1.2, engine="transformers")
    (found,) = headlines(runs(slow, fast))
    assert (found.best, found.baseline) == ("mii, float16", "transformers, float16")
    assert f"{found.ratio} {found.interval}" == speed_ratio(slow, fast).shown
    assert (found.verdict, found.has_interval) == ("the tokens/s of transformers", True)


@pytest.mark.parametrize("changes", [{"max_tokens": 17}, {"precision": "bfloat16"}, {"weights": "pretrained"}])
def test_other_work_is_no_baseline(changes):
    fast, slow = steady_result(3.0, 3.1), steady_result(1.0, 1.1, **{"engine": "transformers", **changes})
    assert {found.baseline for found in headlines(runs(fast, slow))} == {""}


def test_one_process_is_inconclusive_and_gives_way_to_an_interval():
    fast, slow = result(processes=1), result(processes=1, engine="transformers", seconds=(8.0, 9.0))
    (found,) = headlines(runs(fast, slow))
    assert (found.verdict, found.interval) == ("inconclusive: too few processes", "[no interval]")
    for one in (fast, slow):
        one.scenario, one.model["title"] = dataclasses.replace(one.scenario, model="smollm2"), "SmolLM2-135M-Instruct"
    pairs = compared(([1.0, 1.1], [2.0, 2.1]), ([1.0, 1.2], [2.0, 2.2]))
    shown = headlines([*runs(fast, slow), item("ab", pairs, "ab.json")])
    assert [(one.source, one.has_interval) for one in shown] == [(Path("ab.json"), True)]


def test_a_configuration_against_itself_and_the_fake_engine_are_no_headline():
    pairs = ([1.0, 1.1], [1.0, 1.2]), ([1.0, 1.2], [1.0, 1.1])
    twice, fake = compared(*pairs, engines=("mii", "mii")), compared(*pairs, engines=("mii", "fake"))
    compared_ones = [item("ab", twice, "twice.json"), item("ab", fake, "fake.json")]
    assert headlines([*compared_ones, *runs(steady_result(1.0, 1.1, engine="fake"))]) == []


def test_a_run_alone_shows_its_speed():
    (found,) = headlines(runs(steady_result(1.0, 1.1)))
    assert (found.ratio, found.baseline) == ("", "")
    assert math.isfinite(found.tokens_per_s)
