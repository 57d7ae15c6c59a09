"""How values and sentences are written."""

from __future__ import annotations

import pytest

from bench_deepspeed.core import units
from bench_deepspeed.core.text import sentence


@pytest.mark.parametrize(
    ("value", "words"), [(0.0031, "+0.3%"), (-0.00049, "+0.0%"), (-0.0006, "-0.1%"), (0.0, "+0.0%")]
)
def test_a_change_that_rounds_to_nothing_has_no_minus(value, words):
    assert units.change(value) == words


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("one thing.", "One thing."),
        ("bench.sh load is beyond", "bench.sh load is beyond."),
        ("load.json is cut", "load.json is cut."),
        ("slow_host: it was slow", "slow_host: it was slow."),
        ("done...", "Done."),
    ],
)
def test_a_sentence_begins_with_a_capital_but_for_names(text, made):
    assert sentence(text) == made
