"""JSON files that are read back into dataclasses, and files that are replaced in one step."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import BenchError, UsageError
from .paths import file_in, is_file

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator

T = TypeVar("T")
ERRORS = "backslashreplace"
"""How what is not UTF-8, such as bytes of a file name, is written: as an escape, which is JSON as well."""


def file_to_resume(path: Path, name: str) -> Path:
    """The file of that name, from its folder or itself, behind all links. Raises UsageError where there is none."""
    file = file_in(path, name)
    if not is_file(file):
        raise UsageError(f"--resume {path}: there is no {name}")
    return file.resolve()  # the rest of the run is next to the file, not next to a link to it


def require_divisors(values: Iterable[float], path: Path, what: str) -> None:
    """Raises BenchError, about the file that is expected to be `what`, where a value is not a number above zero."""
    if not all(0 < value < math.inf for value in values):
        raise BenchError(
            f"{path} is not {what} of this suite: it holds a time, a limit or a number of tokens that is not above zero"
        )


def validated(cls: type[T], data: object) -> T:
    """The data as a dataclass. Raises BenchError that names the first field that is not of its type."""
    from pydantic_core import ValidationError

    try:
        valid: T = _validator(cls).validate_python(data)  # type: ignore[arg-type]  # to mypy no class is hashable
        return valid
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise BenchError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


@cache
def _validator(cls: type) -> SchemaValidator:
    """Pydantic's validator of a class, which leaves a list at its first wrong element: of a million, each would be an
    error to describe."""
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    def failing_fast(schema: Any) -> Any:
        if isinstance(schema, list):
            return [failing_fast(part) for part in schema]
        if not isinstance(schema, dict):
            return schema
        parts = {key: failing_fast(part) for key, part in schema.items()}
        return {**parts, "fail_fast": True} if parts.get("type") in ("list", "tuple") else parts

    return SchemaValidator(failing_fast(TypeAdapter(cls).core_schema))


def read_bytes(path: Path) -> bytes:
    """The content of a regular file. Raises BenchError for what cannot be read, and for a device or a FIFO, which may
    have no end."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BenchError(f"cannot read {path}: it is not a regular file")
            return file.read()
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from error


def parse_json(content: bytes, path: Path) -> object:
    """What a file's content says. Raises BenchError, which names the file, where it is not JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is damaged, or is not JSON: {error}") from error


def read_json(cls: type[T], path: Path, version: int, what: str) -> T:
    """Read a saved dataclass back. Raises BenchError when the file is not `what` of this schema version."""
    data = parse_json(read_bytes(path), path)
    try:
        if not isinstance(data, dict) or "schema_version" not in data:
            raise ValueError("it has no schema version")
        if data["schema_version"] != version:
            schema = textwrap.shorten(repr(data["schema_version"]), 40, placeholder=" …")
            raise ValueError(f"its schema version is {schema}, expected {version}")
        return validated(cls, data)
    except (BenchError, TypeError, ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not {what} of this suite: {error}") from error


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Replace a JSON file's content in one step."""
    write_atomically(path, json_text(data))


def json_text(data: object) -> str:
    """Data as JSON, as files and programs get it."""
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def write_atomically(path: Path, text: str) -> None:
    """Write a text to what a path leads to. A regular file is replaced in one step, and keeps its owner and mode.

    A symbolic link stays, and its target is written, also where that is a new name. A device or FIFO stays, and is
    written to. Raises OSError, also for a file that is read-only.
    """
    try:
        old = path.stat()
    except FileNotFoundError:  # a new name, or a link to one
        old = None
    if old is None or stat.S_ISREG(old.st_mode):
        _replace(Path(os.path.realpath(path)), text, old)
        return
    # Without O_CREAT, which Linux refuses for another user's FIFO in /tmp: proc(5), protected_fifos.
    with os.fdopen(os.open(path, os.O_WRONLY), "w", encoding="utf-8", errors=ERRORS) as file:
        file.write(text)


def _replace(path: Path, text: str, old: os.stat_result | None) -> None:
    """Write a new file in the same folder as a path, and rename it to that path."""
    if old is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    mode = 0o666 if old is None else old.st_mode & 0o777
    partial = path.with_name(f".bench-{os.getpid()}.partial")  # short: the name itself may be as long as names can be
    try:
        with open(
            partial, "w", encoding="utf-8", errors=ERRORS, opener=lambda name, flags: os.open(name, flags, mode)
        ) as file:
            file.write(text)
        if old is not None:
            with contextlib.suppress(PermissionError):  # only root gives files away; FAT has no modes
                partial.chmod(mode)
                os.chown(partial, old.st_uid, old.st_gid)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
