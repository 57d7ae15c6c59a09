"""Progress bars on stderr."""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

LOG_EVERY_S = 30.0
"""Where standard error is a file or a pipe each redraw stays: then a bar is drawn as often, and at its end."""
_silent = threading.Event()


def silence() -> None:
    """Draw and say nothing on stderr from now on."""
    _silent.set()


class Bars:
    """Progress bars. Nothing is drawn while a generation is timed: a bar moves between two of them.

    `leave`: bars that are complete stay on the terminal.
    """

    def __init__(self, leave: bool = True):
        self._leave = leave

    def __enter__(self) -> Bars:
        tqdm.monitor_interval = 0  # tqdm's thread would wake up inside the timed region
        self._bar: tqdm | None = None
        self._drawn_at = -math.inf
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def progress(self, label: str, done: int, total: int) -> None:
        """Show what a worker reports: `done` of `total`, under a label."""
        if _silent.is_set():
            return
        if self._bar is None or self._bar.desc != label or self._bar.total != total:
            self._close()
            layout = "{desc} {percentage:3.0f}% |{bar:30}| {elapsed}" if total else "{desc} {elapsed}"
            self._bar = tqdm(desc=label, total=total, bar_format=layout, file=sys.stderr, leave=self._leave)
            self._drawn_at = time.monotonic()
        self._bar.n = done
        ended = total > 0 and done >= total
        if ended or self._is_due():
            self._bar.refresh()
        if ended:
            self._close()

    def _is_due(self) -> bool:
        """Whether to draw what has changed: always on a terminal, now and then in a file."""
        now = time.monotonic()
        due = sys.stderr.isatty() or now - self._drawn_at >= LOG_EVERY_S
        self._drawn_at = now if due else self._drawn_at
        return due

    @contextlib.contextmanager
    def spinner(self, label: str) -> Iterator[None]:
        """Show a label and the seconds, until the block ends or a worker reports something better."""
        if _silent.is_set() or not sys.stderr.isatty():
            yield
            return
        self.progress(label, 0, 0)
        done = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(done,), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            done.set()
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

    def row(self, text: str) -> None:
        """A line of a table on stdout, between two bars."""
        self._close()
        print(text, flush=True)

    @contextlib.contextmanager
    def counter(self, label: str, total: int | None) -> Iterator[Callable[[str], None]]:
        """A bar over `total` generations (None: nobody knows); call the yielded function after each with a remark."""
        self._close()
        with tqdm(desc=label, total=total, unit="run", file=sys.stderr, disable=total == 0 or _silent.is_set()) as bar:

            def advance(remark: str) -> None:
                bar.set_postfix_str(remark, refresh=False)
                bar.n += 1
                if bar.n == total or self._is_due():
                    bar.refresh()

            bar.refresh()
            yield advance


@functools.cache
def note_once(text: str) -> None:
    """A line on stderr that stays, whatever bar is drawn; a text that was written before is not written again."""
    _write(text)


def _write(text: str) -> None:
    if not _silent.is_set():
        tqdm.write(text, file=sys.stderr)
