"""`bench.sh report --verify`: whether files are what they say, all that is derived in them computed again."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.benchmarks.common import evidence
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import BenchError, UsageError, named
from bench_deepspeed.core.streams import columns
from bench_deepspeed.core.text import wrapped

from . import files


def run(options) -> int:
    """Print a line for each file, or for all that are published. Returns the exit code.

    Raises BenchError where a file is not what it says, else UsageError where one is no result of this suite.
    """
    chosen = options.files or files.published()
    differing, unread = [], []
    for path in chosen:
        try:
            verified = verify(path)
        except UsageError as error:
            unread.append(str(error))
            continue
        print(wrapped(f"{paths.shown(path)}: {verified}", columns(), "  "))
        differing += [paths.shown(path)] if verified.differs else []
    if differing:
        raise BenchError(f"{len(differing)} of {len(chosen)} files are not what was measured: {', '.join(differing)}")
    if unread:
        raise UsageError("; ".join(unread))
    return 0


def verify(path: Path) -> evidence.Verification:
    """One file. Raises UsageError for one that is damaged, or is no result of this suite."""
    (item,) = files.read([path])
    with named(path):
        return evidence.verify(item.kind, path)
