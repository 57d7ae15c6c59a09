"""Progress in a file, where each redraw stays."""

from __future__ import annotations

import io
import sys

import pytest

from bench_deepspeed.core import progress_bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "least", "most"), [(io.StringIO, 2, 4), (Terminal, 1000, 2100)])
def test_a_file_gets_few_redraws_and_the_last(monkeypatch, stream, least, most):
    monkeypatch.setattr(sys, "stderr", stream())
    with progress_bars.Bars() as bars:
        for done in range(1001):
            bars.progress("fetching", done, 1000)
        with bars.counter("measuring", 1000) as advance:
            for _ in range(1000):
                advance("")
    drawn = sys.stderr.getvalue()
    for label in ("fetching", "measuring"):
        assert least <= drawn.count(label) <= most
        assert "100%" in drawn[drawn.rindex(label) :]


def test_a_file_gets_a_redraw_now_and_then(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(progress_bars, "LOG_EVERY_S", 0.0)
    with progress_bars.Bars() as bars:
        for done in range(11):
            bars.progress("fetching", done, 10)
    assert sys.stderr.getvalue().count("fetching") >= 11
