"""The same measurement on different occasions: what belongs together, and what the host explains of the difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders import steady_result

from bench_deepspeed.measure.records import Result, Run, Sample
from bench_deepspeed.results import occasions


def occasion(day: int, *loops_ms: float, **changes) -> tuple[Path, Result]:
    """Ten processes and more that take 1 s and 100 s for each second of the host's loop, for 100 tokens."""
    result = steady_result(100.0, **{"max_tokens": 100, **changes})
    result.started_at = f"2026-01-{day:02}T10:00:00"
    seconds = [1 + ms / 10 for ms in loops_ms]
    result.runs = [
        Run(samples=[Sample(s, 5, result.scenario.max_tokens, None, [ms / 1000, ms / 1000])])
        for s, ms in zip(seconds, loops_ms, strict=True)
    ]
    return Path(f"day-{day}.json"), result


FAST = [1.0, 1.1] * 5
SLOW = [3.0, 3.1] * 5


def test_each_occasion_is_compared_with_the_first_and_adjusted_to_its_host():
    (table,) = occasions.blocks([occasion(2, *SLOW), occasion(1, *FAST)])
    first, second = table.rows
    assert (first["measured"].text, first["of the first"]) == ("2026-01-01 10:00", "")
    assert second["of the first"].startswith(f"{1.105 / 1.305:.3f} [")
    assert second["verdict"] == "slower"
    assert float(second["tokens/s at the first's host speed"]) == pytest.approx(100 / 1.105, abs=0.01)


def test_without_readings_of_the_host_nothing_is_adjusted():
    path, bare = occasion(2, *SLOW)
    bare.runs = [Run(samples=[replace(sample, host_s=None) for sample in run.samples]) for run in bare.runs]
    (table,) = occasions.blocks([occasion(1, *FAST), (path, bare)])
    assert table.rows[1]["tokens/s at the first's host speed"] == "not measured"


@pytest.mark.parametrize(
    "other",
    [occasion(2, *FAST[:9]), occasion(2, *FAST, precision="bfloat16"), occasion(2, *SLOW, max_tokens=50)],
)
def test_few_processes_another_precision_and_other_lengths_are_no_occasion(other):
    assert occasions.blocks([occasion(1, *FAST), other]) == []
