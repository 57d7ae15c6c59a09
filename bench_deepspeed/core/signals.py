"""SIGINT, SIGTERM, SIGHUP and SIGXCPU: the first raises KeyboardInterrupt, so that clean-up runs; a second ends the
process. SIGXCPU says that the limit of CPU time (ulimit -t) is reached.

Status and exit code come from the record, never from the exception that surfaces: whatever is interrupted may turn
KeyboardInterrupt into another one or swallow it, as extension modules do while they are imported.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)
REPEAT_S = 1.0
"""A closed terminal sends SIGHUP more than once: what follows sooner than this must not interrupt the clean-up."""
AGAIN_S = 0.3
"""The same of SIGINT, which a program that starts this one may send on; nobody presses Ctrl-C twice as fast."""
AGAIN = "bench.sh: interrupted again: ended at once; what was saved until then is in the results folder\n"
at_once: list[Callable[[], None]] = []
"""What a second signal calls before it ends the process: each ends processes that were started."""
_RECEIVED: list[tuple[int, float]] = []


def install() -> None:
    """Handle these signals, but none that is ignored, as nohup does with SIGHUP.

    Where CPU time is limited, a second of it is kept for what follows SIGXCPU: the system kills at the hard limit.
    Python cannot raise in a callback of its own, and would print a traceback there; the record has the signal.
    """
    sys.unraisablehook = _unraisable
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft == hard != resource.RLIM_INFINITY and hard > 1:
        resource.setrlimit(resource.RLIMIT_CPU, (hard - 1, hard))


def admit() -> None:
    """Let signals in that bench.sh has kept waiting: one that came before is handled now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def leave() -> None:
    """Give the handled signals their default action: at the end of the process an exception would have no handler.

    The limit of CPU time is ignored: all is done, and the system ends the process at the hard limit.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGXCPU else signal.SIG_DFL)


def received() -> int | None:
    """The number of the first signal that came; None where none did."""
    return _RECEIVED[0][0] if _RECEIVED else None


def check() -> None:
    """Raise KeyboardInterrupt once more where a signal came: what it interrupted may have swallowed the first."""
    if _RECEIVED:
        raise KeyboardInterrupt


def exit_code() -> int | None:
    """The exit code, 128 + the number of the first signal that came; None where none did.

    Python would end the process by SIGINT instead, whatever code it is given, where the exception left a string that
    was being executed: a dataclass that is defined, for example. It forgets that when it executes the next string.
    """
    exec("")
    number = received()
    return None if number is None else 128 + number


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    if not (_RECEIVED and isinstance(unraisable.exc_value, KeyboardInterrupt)):
        sys.__unraisablehook__(unraisable)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    now = time.monotonic()
    _RECEIVED.append((number, now))
    if len(_RECEIVED) == 1:
        raise KeyboardInterrupt
    if number == signal.SIGXCPU:  # repeated each second of CPU time, until the hard limit ends the process
        return
    if now - _RECEIVED[-2][1] >= (AGAIN_S if number == signal.SIGINT else REPEAT_S):
        _end_at_once()


def _end_at_once() -> None:
    """End without any clean-up but that of the processes that were started, with one line on standard error."""
    for end in at_once:
        with contextlib.suppress(Exception):
            end()
    os.write(2, AGAIN.encode())
    os._exit(128 + _RECEIVED[0][0])
