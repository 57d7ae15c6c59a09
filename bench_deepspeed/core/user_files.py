"""Files that a user names for what is to be sent: text, JSON, JSON lines or CSV, by their name and their content."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from .errors import BenchError, UsageError
from .json_files import parse_json, read_bytes

SUFFIXES = {".json": "JSON", ".jsonl": "JSON lines", ".ndjson": "JSON lines", ".csv": "CSV"}
"""Suffix → format; a file of another suffix is of the format that its content is of."""
MOST_LINED = 1_000_000
"""Characters of a JSON file up to which the lines of its elements are looked up: PyYAML is slow."""


@dataclass(frozen=True)
class Entry:
    """A value and the line, from 1, on which it begins: a text, what a JSON line says, or a CSV row by its header."""

    line: int
    value: Any


@dataclass(frozen=True)
class UserFile:
    """`named` is the flag and the path, as errors begin. A file of JSON has one entry, the whole."""

    named: str
    format: str
    text: str
    entries: list[Entry]

    def error(self, line: int, problem: str) -> UsageError:
        """The error of what is wrong on a line; line 0: it is not known."""
        return UsageError(f"{self.named}{f', line {line}' if line else ''}: {problem}")

    def elements(self) -> list[Entry]:
        """The entries; of JSON that is a list, its elements. Raises UsageError for other JSON."""
        if self.format != "JSON":
            return self.entries
        values = self.entries[0].value
        if not isinstance(values, list):
            raise self.error(1, "a list is expected")
        lines = self._lines_of_elements() if len(self.text) <= MOST_LINED else []
        return [Entry(line, value) for line, value in zip_longest(lines, values, fillvalue=0)]

    def _lines_of_elements(self) -> list[int]:
        """The lines of a list's elements; none where they are not known."""
        try:
            root = self._root()
        except ImportError:
            return []
        nodes = root.value if root is not None else []
        return [node.start_mark.line + 1 for node in nodes] if len(nodes) == len(self.entries[0].value) else []

    def _root(self) -> Any:
        """The whole of a JSON file as PyYAML's node; None where that does not take it. Raises ImportError.

        JSON is YAML, but for tabs and other characters that are not printable; and PyYAML remembers lines, which
        json does not.
        """
        import yaml

        printable = "".join(c if c.isprintable() or c == "\n" else " " for c in self.text)
        try:
            return yaml.compose(printable, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError):  # a key of 2,000 characters, for example
            return None

    def line_of(self, *place: str | int) -> int:
        """The line on which a value of a JSON file begins, or the nearest value around it; 0 without PyYAML."""
        try:
            node = self._root()
        except ImportError:  # a plan is made before anything is installed
            return 0
        if node is None:
            return 1
        for step in place:
            if node.id == "mapping":
                inner = next((value for key, value in node.value if key.value == step), None)
            else:
                is_place = node.id == "sequence" and isinstance(step, int)
                inner = node.value[step] if is_place else None
            if inner is None:
                break
            node = inner
        return int(node.start_mark.line) + 1


def read(path: Path, flag: str) -> UserFile:
    """Read a file. A byte order mark is no part of it, and a line ends with \\n or \\r\\n only.

    Raises UsageError, with the flag and the path, for what cannot be read or is not of its format.
    """
    named = f"{flag} {path}"
    text = _decoded(path, flag)
    try:
        form = _format(path.suffix.lower(), text)
        entries = [Entry(1, parse_json(text.encode(), path))] if form == "JSON" else None
    except BenchError as error:
        raise UsageError(f"{flag}: {error}") from error
    if entries is None:
        readers = {"JSON lines": _json_lines, "CSV": _csv_rows, "text": _text_lines}
        entries = list(readers[form](text, named))
    return UserFile(named, form, text, entries)


def text_of(path: Path, flag: str) -> str:
    """All of a file that is one text. Raises UsageError, with the flag and the path, for what is none."""
    text = _decoded(path, flag)
    if "\0" in text:
        raise UsageError(f"{flag} {path} holds a NUL byte: the file is no text")
    return text


def _decoded(path: Path, flag: str) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{flag} {path} is not UTF-8 text: {error}") from error
    except BenchError as error:
        raise UsageError(f"{flag}: {error}") from error


def _format(suffix: str, text: str) -> str:
    """The format: JSON and JSON lines by what can be parsed, else by the suffix, else by a CSV header, else text."""
    if isinstance(_parsed(text), list):
        return "JSON"
    first = next(iter(_lines(text)), (0, ""))[1]
    if isinstance(_parsed(first), dict) and (suffix != ".json" or _parsed(text) is None):
        return "JSON lines"
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if isinstance(_parsed(text), dict):
        return "JSON"
    columns = first.split(",")
    return "CSV" if len(columns) > 1 and all(column.isidentifier() for column in columns) else "text"


def _parsed(text: str) -> Any:
    """What a JSON text says; None for what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, by their number. U+2028 and its like, at which `str.splitlines` splits, stay."""
    for number, line in enumerate(text.split("\n"), start=1):
        if stripped := line.strip():
            yield number, stripped


def _text_lines(text: str, named: str) -> Iterator[Entry]:
    for number, line in _lines(text):
        if "\0" in line:
            raise UsageError(f"{named}, line {number}: it holds a NUL byte: the file is no text")
        yield Entry(number, line)


def _json_lines(text: str, named: str) -> Iterator[Entry]:
    for number, line in _lines(text):
        try:
            yield Entry(number, json.loads(line))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{named}, line {number}: not JSON: {error}") from error


def _csv_rows(text: str, named: str) -> Iterator[Entry]:
    """The rows by their header. A field in quotes may hold line ends."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    end = 1
    try:
        for row in reader:
            if None in row or None in row.values():
                raise csv.Error(f"as many fields as in the header are expected: {', '.join(reader.fieldnames or ())}")
            yield Entry(end + 1, row)
            end = reader.line_num
    except csv.Error as error:
        raise UsageError(f"{named}, line {end + 1}: {error}") from error
