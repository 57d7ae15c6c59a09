"""`bench.sh report`: the documents, or with --format any results as one file."""

from __future__ import annotations

from . import documents, export


def run(options) -> int:
    """Returns the exit code. Raises BenchError as `documents.run` and `export.run` do."""
    return (export if options.format else documents).run(options)
