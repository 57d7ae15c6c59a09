"""Everything that can go wrong for a user, with the exit code it ends in.

`__main__` catches `BenchError` and prints one line: what is wrong and what to do. Anything else that
escapes is a defect of the suite and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import errno
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from .paths import ROOT

DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading or showing an altered file raises: other fields, a time of zero, words for a number."""


class BenchError(Exception):
    """A failure that a user can understand and act on. Exit code 1: the benchmark itself failed."""

    exit_code = 1


class UsageError(BenchError):
    """A flag, value or combination that cannot be: nothing was started."""

    exit_code = 2


class MachineError(BenchError):
    """The machine lacks something: a GPU, a compiler, a package, disk space, a writable folder, the server that was
    named."""

    exit_code = 3


class WeightsError(BenchError):
    """The weights cannot be obtained or trusted: no licence, no network, a file that is cut or altered,
    tensors that are not the model's."""

    exit_code = 4


class QualityError(BenchError):
    """An engine outside the noise floor, where --fail_on_quality makes this an error."""

    exit_code = 5


class ImpossibleError(BenchError):
    """A speed beyond what the device was measured to do, or a timed generation that did not compute its answer.

    The measurement is wrong, whatever the engine.
    """

    exit_code = 6


class RegressionError(BenchError):
    """A result that is slower than the first by more than --fail_on_regression allows."""

    exit_code = 7


class InconclusiveError(BenchError):
    """A comparison that can neither show nor exclude a regression, where --fail_on_inconclusive was given."""

    exit_code = 8


REMEDIES = {
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "end other programs: this machine has as many open files as it may",
    errno.EAGAIN: "raise the limit of processes and threads (ulimit -u), or ask for less at once",
    errno.ENOMEM: "end other programs, raise the limit of memory (ulimit -v), or ask for less at once",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room within the quota of the disk",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EROFS: "name a folder that can be written",
    errno.EACCES: "have its owner permit it, or name another",
    errno.EPERM: "have its owner permit it, or name another",
    errno.EIO: "look at the disk: the system could not read or write it",
}
"""What the system lacks or forbids, whatever was being done → what to do."""
CUT_CODE = "marshal data too short"
"""Of what Python has compiled and kept: it writes such a file short where the disk or a limit leaves no more room."""
NO_THREAD, NO_MEMORY = re.compile("can't start new thread"), re.compile("annot allocate memory|failed to map segment")


def as_bench_error(error: BaseException) -> BenchError | None:
    """The error that a user can act on: itself, or the machine's lack that an exception means; None for a defect."""
    if isinstance(error, BenchError):
        return error
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if any(isinstance(one, MemoryError) or NO_MEMORY.search(str(one)) for one in _chain(error)):
        number, text = errno.ENOMEM, "there is not enough memory"
    elif isinstance(error, RuntimeError) and NO_THREAD.search(text):
        number, text = errno.EAGAIN, "the system starts no further thread"
    elif isinstance(error, EOFError) and text == CUT_CODE:
        return MachineError(
            "a file that Python has compiled is cut, as a full disk leaves it: delete the folders __pycache__ below "
            f"{ROOT}"
        )
    elif isinstance(error, OSError):
        text = ": ".join(map(str, filter(None, [error.filename, error.strerror])))
    return MachineError(f"{text}: {REMEDIES[number]}") if number in REMEDIES else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it follows from: numpy has another one for a library that cannot be mapped."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Report whatever is wrong with a file's content in one line that names it.

    Raises UsageError, or ImpossibleError where that is what the block raises.
    """
    try:
        yield
    except BenchError as error:
        kind = ImpossibleError if isinstance(error, ImpossibleError) else UsageError
        text = str(error)
        raise kind(text if str(path) in text else f"{path}: {text}") from error
    except DAMAGE as error:
        raise UsageError(f"{path} is damaged: {textwrap.shorten(repr(error), 200, placeholder=' …')}") from error


BY_NAME = {
    cls.__name__: cls
    for cls in (
        BenchError,
        UsageError,
        MachineError,
        WeightsError,
        QualityError,
        ImpossibleError,
        RegressionError,
        InconclusiveError,
    )
}
"""Those that a worker may raise."""
EXIT_CODES = {
    0: "everything that was requested was done",
    1: "the benchmark failed: the engine died, repetitions were void, no load level was measured, the self-test "
    "failed; or a file or document is not what its samples give",
    2: "wrong usage: an unknown flag, a bad value, an impossible combination",
    3: "the machine lacks something: a GPU, a compiler, a package, disk space, a writable folder, or the server "
    "that a load test names does not answer as one of OpenAI's API",
    4: "the weights cannot be obtained or verified: licence, token, network, a cut or altered file, tensors that are "
    "not the model's, Python code",
    5: "the answers are outside the noise floor, and --fail_on_quality was given",
    6: "a result that is not plausible, and not reported: a speed beyond the device's measured limits, answers that "
    "were not computed, or other answers under load",
    7: "a regression: slower than the first result by more than is allowed, over the whole interval of their ratio",
    8: "inconclusive: a regression is neither shown nor excluded, where a flag makes that an error",
    130: "interrupted by Ctrl-C (143: SIGTERM, 129: SIGHUP, 152: the limit of CPU time); what was measured is saved",
    141: "the reader of the output closed it, as `head` does",
}
