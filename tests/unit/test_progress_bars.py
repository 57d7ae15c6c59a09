"""What is shown of a run under way: one line a phase where nothing can be redrawn, and how long the rest takes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Callable
from unittest import mock

import pytest

from bench_deepspeed.core import progress_bars, units
from bench_deepspeed.core.progress_bars import Bars, Countdown


@pytest.fixture
def shown(capsys) -> Callable[[], list[str]]:
    """The lines on a standard error that is no terminal, each time as T."""

    def lines() -> list[str]:
        written = capsys.readouterr().err
        assert "\r" not in written
        return re.sub(r"\d+ s$", "T", written, flags=re.M).splitlines()

    return lines


def test_a_phase_is_one_line_however_often_it_reports(shown):
    with Bars() as bars:
        for done in range(3221):
            bars.progress("fetching", done, 3220)
        bars.progress("fetching", 3220, 3220)  # reported twice
        bars.progress("converting", 0, 2)
    assert shown() == ["fetching ... T", "converting ... T"]


def test_a_note_ends_the_line_and_the_phase_goes_on_below(shown):
    with Bars() as bars:
        bars.progress("fetching", 1, 3)
        bars.note("half of it")
        bars.progress("fetching", 2, 3)
    assert shown() == ["fetching ... T", "half of it", "fetching ... T"]


def test_generations_are_counted_on_the_line_of_their_phase(shown):
    with Bars() as bars, bars.counter("measuring", 2) as advance:
        advance("10.0 tokens/s")
        advance("11.0 tokens/s")
    assert shown() == ["measuring ... 2 runs, the last 11.0 tokens/s, T"]


def test_a_spinner_and_what_the_worker_reports_under_its_label_are_one_line(shown):
    with Bars() as bars, bars.spinner("measuring latency"):
        bars.progress("measuring latency", 0, 2)
        bars.progress("measuring latency", 2, 2)
    assert shown() == ["measuring latency ... T"]


def test_an_error_ends_the_line(shown):
    with pytest.raises(KeyboardInterrupt), Bars() as bars, bars.spinner("loading"):
        raise KeyboardInterrupt
    assert shown() == ["loading ... T"]


def test_the_rest_takes_as_long_a_step_as_those_before(monkeypatch):
    clock = iter([0.0, 60.0, 90.0, 120.0])
    monkeypatch.setattr(progress_bars.time, "monotonic", lambda: next(clock))
    left = Countdown("processes", 3)
    assert left.step() == "1 of 3 processes done, about 2 min for the others"
    assert left.step() == "2 of 3 processes done, about 45 s for the others"
    assert left.step() is None


def test_a_time_budget_ends_the_rest(monkeypatch):
    clock = iter([0.0, 200.0])
    monkeypatch.setattr(progress_bars.time, "monotonic", lambda: next(clock))
    left = Countdown("processes", 10, budget_s=600)
    assert left.step() == "1 of 10 processes done, at most about 10 min for the others"


def test_a_note_within_a_phase_leaves_it_a_whole_line(shown):
    with Bars() as bars, bars.spinner("loading"):
        progress_bars.note_once("MII listens")
    assert shown() == ["loading ... ", "MII listens", "loading ... T"]


@pytest.mark.parametrize(("seconds", "text"), [(45.2, "45 s"), (300, "5 min"), (9000, "2.5 h")])
def test_a_time_to_wait_is_in_one_unit(seconds, text):
    assert units.duration(seconds) == text


def test_a_terminal_without_a_number_of_rows_has_bars():
    """As `script` and some containers make them; tqdm draws nothing where there are no rows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 80, 0, 0))
    screen = os.fdopen(theirs, "w")
    with screen as terminal, mock.patch.object(sys, "stderr", terminal), progress_bars.Bars() as bars:
        bars.progress("loading", 1, 2)
    shown = b""
    with contextlib.suppress(OSError):  # one read may bring a part; the error is the end, since the terminal is closed
        while piece := os.read(ours, 1000):
            shown += piece
    os.close(ours)
    assert "loading  50%" in shown.decode()
