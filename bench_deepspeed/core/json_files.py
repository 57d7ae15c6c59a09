"""JSON files that are read back into dataclasses, and files that are replaced in one step."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from .errors import BenchError

T = TypeVar("T")


def require_divisors(values: Iterable[float], path: Path, what: str) -> None:
    """Raises BenchError, about the file that is to be `what`, where a value is not above zero, or is no number."""
    if not all(0 < value < math.inf for value in values):
        raise BenchError(
            f"{path} is not {what} of this suite: it holds a time, a limit or a number of tokens that is not above zero"
        )


def validated(cls: type[T], data: object) -> T:
    """The data as a dataclass. Raises BenchError that says which field is not of its type."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(cls).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise BenchError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def read_json(cls: type[T], path: Path, version: int, what: str) -> T:
    """Read a saved dataclass back. Raises BenchError when the file is not `what` of this schema version."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema_version"] != version:
            raise ValueError(f"schema version {data['schema_version']}, expected {version}")
        return validated(cls, data)
    except (BenchError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BenchError(f"{path} is not {what} of this suite: {error}") from error


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Replace a JSON file's content in one step."""
    write_atomically(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content in one step."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
