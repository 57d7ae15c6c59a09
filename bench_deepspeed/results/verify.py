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

    A file that cannot be read counts as failed, and the others are verified all the same. Raises BenchError where a
    file is not what it says, else UsageError where one is damaged or no result of this suite.
    """
    chosen = options.files or files.published()
    failed: dict[str, type[BenchError]] = {}
    for path in chosen:
        try:
            verified: object = verify(path)
            if verified.differs:
                failed[paths.shown(path)] = BenchError
        except UsageError as error:
            if len(chosen) == 1:
                raise
            verified = f"failed: {str(error).removeprefix(f'{path}: ')}"
            failed[paths.shown(path)] = UsageError
        print(wrapped(line(path, verified), columns(), "  "))
    if failed:
        kind = BenchError if BenchError in failed.values() else UsageError
        raise kind(f"{len(failed)} of {len(chosen)} files failed: {', '.join(failed)}")
    return 0


def line(path: Path, verified: object) -> str:
    """The file, and what was found."""
    return f"{paths.shown(path)}: {verified}"


def verify(path: Path) -> evidence.Verification:
    """One file. Raises UsageError for one that is damaged, or is no result of this suite."""
    (item,) = files.read([path])
    with named(path):
        return evidence.verify(item.kind, path)
