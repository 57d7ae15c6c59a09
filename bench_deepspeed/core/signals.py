"""SIGINT, SIGTERM, SIGHUP and SIGXCPU: each raises KeyboardInterrupt, so that clean-up runs, and is recorded.
SIGXCPU says that the limit of CPU time (ulimit -t) is reached.

Status and exit code come from the record, never from the exception that surfaces: whatever is interrupted may turn
KeyboardInterrupt into another one or swallow it, as extension modules do while they are imported.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)
REPEAT_S = 1.0
"""A closed terminal sends SIGHUP more than once: what follows sooner than this must not interrupt the clean-up."""
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
    """Give the handled signals their default action: at the end of the process an exception would have no handler."""
    for number in SIGNALS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_DFL)


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
    repeated = bool(_RECEIVED) and now - _RECEIVED[-1][1] < REPEAT_S
    _RECEIVED.append((number, now))
    if not repeated:
        raise KeyboardInterrupt
