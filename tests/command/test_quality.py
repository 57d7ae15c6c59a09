"""The check of the answers: its numbers against their definitions, its verdict against a real fault."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("flags", [("--weights", "random"), ("--engine", "fake")])
def test_what_answers_nothing_is_refused(bench, flags):
    done = bench("quality", "-d", "cpu", *flags)
    assert done.returncode == 2
    assert "nothing to compare" in done.stderr
