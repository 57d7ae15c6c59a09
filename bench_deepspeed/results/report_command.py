"""`bench.sh report`: the documents, with --format any results as one file, with --verify whether they hold."""

from __future__ import annotations

from . import documents, export, verify


def run(options) -> int:
    """Returns the exit code. Raises BenchError as `documents.run`, `export.run` and `verify.run` do."""
    if options.verify:
        return verify.run(options)
    return (export if options.format else documents).run(options)
