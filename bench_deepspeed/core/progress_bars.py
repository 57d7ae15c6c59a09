"""Progress on stderr: bars on a terminal, elsewhere one line a phase, such as "loading the engine ... 12 s"."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from . import streams, units
from .text import counted, wrapped

WORTH_SAYING_S = 20
COUNTED = "{desc} {n_fmt}/{total_fmt} |{bar:16}| {elapsed}<{remaining}{postfix}"

_silent = threading.Event()


def silence() -> None:
    """Draw and say nothing on stderr from now on."""
    _silent.set()


class _Line:
    """A phase where nothing can be redrawn: its label when it starts, and at its end a remark and how long it took.

    It stands for a bar, of which it shows neither `n` nor a refresh.
    """

    open: _Line | None = None
    """The one that has no end yet."""

    def __init__(self, label: str):
        self.desc, self.remark, self.n = label, "", 0
        self._started = time.monotonic()
        self._begin()

    def _begin(self) -> None:
        _Line.open = self
        _emit(f"{self.desc} ... ")

    def refresh(self) -> None:
        """What was written stays."""

    def interrupt(self) -> None:
        """Leaves the line to a note; the phase then ends on a line of its own."""
        _Line.open = None
        _emit("\n")

    def close(self) -> None:
        """Ends the line."""
        if _Line.open is not self:
            self._begin()
        _Line.open = None
        _emit(f"{self.remark}{time.monotonic() - self._started:.0f} s\n")


class Bars:
    """What is under way. Nothing is drawn while a generation is timed: a bar moves between two of them.

    `leave`: bars that are complete stay on the terminal.
    """

    def __init__(self, leave: bool = True):
        self._leave = leave
        self._bar: tqdm | _Line | None = None
        self._phase: tuple[str, int] | None = None

    def __enter__(self) -> Bars:
        tqdm.monitor_interval = 0  # tqdm's thread would wake up inside the timed region
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()

    def progress(self, label: str, done: int, total: int) -> None:
        """Show what a worker reports: `done` of `total`, under a label; 0 in all: nobody knows."""
        if _silent.is_set():
            return
        phase, ended = (label, total), total and done >= total
        if phase != self._phase or (self._bar is None and not ended):
            self._start(*phase)
        if self._bar is not None:
            self._bar.n = done
            self._bar.refresh()
        if ended:
            self._close()

    def _start(self, label: str, total: int) -> None:
        self._phase = label, total
        if isinstance(self._bar, _Line) and self._bar.desc == label:
            return
        self._close()
        if not _redraws():
            self._bar = _Line(label)
            return
        layout = "{desc} {percentage:3.0f}% |{bar:30}| {elapsed}" if total else "{desc} {elapsed}"
        self._bar = _drawn(desc=label, total=total, bar_format=layout, leave=self._leave)

    @contextlib.contextmanager
    def spinner(self, label: str) -> Iterator[None]:
        """Show a label and the seconds, until the block ends or a worker reports something better."""
        self.progress(label, 0, 0)
        done = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(done,), daemon=True)
        if isinstance(self._bar, tqdm):
            ticker.start()
        try:
            yield
        finally:
            done.set()
            if ticker.ident is not None:
                ticker.join()
            self._close()

    def _tick(self, done: threading.Event) -> None:
        while not done.wait(0.5):
            bar = self._bar  # the other thread may close it at any moment
            if bar is not None:
                bar.refresh()

    def note(self, text: str) -> None:
        """A line that stays, between two bars."""
        self._close()
        _write(text)

    def remaining(self, countdown: Countdown) -> None:
        """A line about the steps that are left, after one of them, where they take long."""
        if text := countdown.step():
            self.note(text)

    def row(self, text: str) -> None:
        """A line of a table on stdout, between two bars."""
        self._close()
        print(text, flush=True)

    @contextlib.contextmanager
    def counter(self, label: str, total: int | None) -> Iterator[Callable[[str], None]]:
        """A bar over `total` generations (None: nobody knows); call the yielded function after each with a remark."""
        self._close()
        if total == 0 or _silent.is_set():
            yield lambda remark: None
        elif _redraws():
            with _drawn(desc=label, total=total, unit="run", bar_format=COUNTED if total else None) as bar:
                bar.refresh()
                yield functools.partial(_advance, bar)
        else:
            line, number = _Line(label), itertools.count(1)

            def advance(remark: str) -> None:
                line.remark = f"{counted(next(number), 'run')}, the last {remark}, "

            try:
                yield advance
            finally:
                line.close()


def _drawn(**options: Any) -> tqdm:
    """A bar on stderr. Where a terminal does not say how many rows it has, tqdm by itself would draw none."""
    return tqdm(**options, file=sys.stderr, nrows=20)


def _advance(bar: tqdm, remark: str) -> None:
    bar.set_postfix_str(remark, refresh=False)
    bar.update()
    bar.refresh()


class Countdown:
    """How long the rest of a number of steps takes if each takes as long as those before it."""

    def __init__(self, what: str, total: int, budget_s: float | None = None):
        """`budget_s`: after as long no further step is begun."""
        self._what, self._total, self._done, self._budget_s = what, total, 0, budget_s
        self._started = time.monotonic()

    def step(self) -> str | None:
        """After a step, in words: how many are done and how long the others take; None where that is soon."""
        self._done += 1
        taken_s = time.monotonic() - self._started
        left_s, step_s = taken_s / self._done * (self._total - self._done), taken_s / self._done
        if self._budget_s is not None:
            left_s = min(left_s, max(self._budget_s - taken_s, 0.0) + step_s)
        if left_s < WORTH_SAYING_S:
            return None
        most = "" if self._budget_s is None else "at most "
        return f"{self._done} of {self._total} {self._what} done, {most}about {units.duration(left_s)} for the others"


@functools.cache
def note_once(text: str) -> None:
    """A line on stderr that stays, whatever bar is drawn; a text that was written before is not written again."""
    _write(text)


def _redraws() -> bool:
    """Whether a line on stderr can be written over."""
    return sys.stderr.isatty()


def _emit(text: str) -> None:
    """A part of a line."""
    sys.stderr.write(text)
    sys.stderr.flush()


def _write(text: str) -> None:
    if _Line.open is not None:
        _Line.open.interrupt()
    if not _silent.is_set():
        shown = wrapped(text, streams.columns(sys.stderr), "  ") if _redraws() else text
        tqdm.write(shown, file=sys.stderr)
