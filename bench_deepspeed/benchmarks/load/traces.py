"""Traces, files that say when requests come and how long they are: this suite's, Mooncake's, BurstGPT's and Azure's.

Imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.core import user_files
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.user_files import Entry, UserFile

LARGEST = 1e15
"""Of any number: the milliseconds of a clock since 1970 have 13 digits."""
MOST_TOKENS = 2**20
"""Of a prompt or an answer."""
BLOCK_TOKENS = 512
"""Tokens of a prompt that one of Mooncake's `hash_ids` stands for."""
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(?:Z|\+00:00)?", re.ASCII)

Row = tuple[float, int, int]
"""Arrival in seconds, prompt tokens, output tokens."""


@dataclass
class Trace:
    """Rows in the order of arrival, the first at 0. `blocks`: of each row the ids of its blocks of prompt tokens.

    None where the format has none. `left_out`: requests of the file without a prompt or an answer.
    """

    format: str
    rows: list[Row] = field(default_factory=list)
    blocks: list[list[int]] | None = None
    left_out: int = 0


@dataclass(frozen=True)
class Format:
    """`fields` are those of arrival, prompt tokens and output tokens; `seconds` reads the arrival, None for none."""

    name: str
    fields: tuple[str, str, str]
    seconds: Callable[[object], float | None]
    own: bool = False
    """No other fields, times that differ, and no request without an answer: a mistake is refused. Recorded traces have
    clocks of whole seconds, and failures."""

    def has(self, data: object) -> bool:
        return isinstance(data, dict) and (set(data) == set(self.fields) if self.own else set(self.fields) <= set(data))


def _number(value: object) -> int | float | None:
    """A finite number, or the one that a text of CSV says; None for anything else."""
    if isinstance(value, str):
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                return _number(kind(value))
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) <= LARGEST else None


def _milliseconds(value: object) -> float | None:
    number = _number(value)
    return None if number is None else number / 1e3


def _stamp(value: object) -> float | None:
    """Seconds of a date and time in UTC, whose fraction may have any number of digits."""
    found = STAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    with contextlib.suppress(ValueError):
        moment = datetime.datetime.fromisoformat(f"{found[1]} {found[2]}+00:00")
        return moment.timestamp() + float(found[3] or 0)
    return None


OWN = "this suite"
FORMATS = (
    Format(OWN, ("arrival_s", "prompt_tokens", "output_tokens"), _number, own=True),
    Format("Mooncake", ("timestamp", "input_length", "output_length"), _milliseconds),
    Format("BurstGPT", ("Timestamp", "Request tokens", "Response tokens"), _number),
    Format("Azure", ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), _stamp),
)
KNOWN = ", ".join(f"{one.name} ({', '.join(one.fields)})" for one in FORMATS)


def read(path: Path, seconds: float | None = None) -> Trace:
    """A trace, or its first seconds. Its entries are objects of JSON, one a line or in a list, or rows of CSV.

    Raises UsageError with the line.
    """
    file = user_files.read(path, "--trace")
    entries = file.elements()
    form = _format_of(file, entries)
    trace = Trace(form.name)
    start_s = before_s = None
    for entry in entries:
        arrival_s = _arrival(file, entry, form, before_s)
        before_s, start_s = arrival_s, arrival_s if start_s is None else start_s
        if seconds is not None and arrival_s - start_s > seconds:
            break
        _add(trace, file, entry, form, arrival_s - start_s)
    if len(trace.rows) < 2 or trace.rows[-1][0] <= 0:
        raise UsageError(f"{file.named} has {len(trace.rows)} arrivals over no time: it takes two that are apart")
    return trace


def _format_of(file: UserFile, entries: list[Entry]) -> Format:
    """The format by the fields of the first entry. Raises UsageError, with all formats, for another file."""
    if not entries:
        return FORMATS[0]
    first = entries[0].value
    found = next((one for one in FORMATS if one.has(first)), None)
    if found is None:
        hint = "; conversations have no times: give them as --prompts, with --rates" if _is_conversation(first) else ""
        raise file.error(entries[0].line, f"no trace of {KNOWN}{hint}")
    return found


def _is_conversation(value: object) -> bool:
    return isinstance(value, dict) and "conversations" in value


def _arrival(file: UserFile, entry: Entry, form: Format, before_s: float | None) -> float:
    """When a request arrives, in seconds of the file's clock. Raises UsageError for other fields and another order."""
    if not form.has(entry.value):
        fields = f", not {', '.join(map(str, entry.value))}"[:100] if isinstance(entry.value, dict) else ""
        raise file.error(entry.line, f"{', '.join(form.fields)} are expected{fields}")
    name, given = form.fields[0], entry.value[form.fields[0]]
    arrival_s = form.seconds(given)
    if arrival_s is None or arrival_s < 0:
        expected = "a time such as 2026-01-31 12:00:00.5" if form.seconds is _stamp else "a number, 0 or more"
        raise file.error(entry.line, f"{name} must be {expected}")
    if before_s is not None and arrival_s < before_s:
        raise file.error(entry.line, f"{name} {given} is before the one above")
    if form.own and arrival_s == before_s:
        raise file.error(entry.line, f"{name} {given} is that of the one above: put them apart, by 0.000001 at least")
    return arrival_s


def _add(trace: Trace, file: UserFile, entry: Entry, form: Format, arrival_s: float) -> None:
    """Add a request to a trace, or count it as left out. Raises UsageError for tokens that are no whole number."""
    tokens = []
    for name in form.fields[1:]:
        value, least = _number(entry.value[name]), 1 if form.own else 0
        if not isinstance(value, int) or not least <= value <= MOST_TOKENS:
            raise file.error(entry.line, f"{name} must be a whole number from {least} to {MOST_TOKENS:,}")
        tokens.append(value)
    if 0 in tokens:
        trace.left_out += 1
        return
    trace.rows.append((arrival_s, *tokens))
    if (ids := entry.value.get("hash_ids")) is not None:
        trace.blocks = [*(trace.blocks or []), _checked_ids(file, entry, ids, tokens[0])]
    if trace.blocks is not None and len(trace.blocks) < len(trace.rows):
        raise file.error(entry.line, "hash_ids are missing here, and are there in other lines")


def _checked_ids(file: UserFile, entry: Entry, ids: object, prompt_tokens: int) -> list[int]:
    blocks = -(-prompt_tokens // BLOCK_TOKENS)
    if not isinstance(ids, list) or len(ids) != blocks or not all(type(one) is int for one in ids):
        raise file.error(
            entry.line, f"hash_ids must be {blocks} whole numbers, one for each {BLOCK_TOKENS} tokens of input_length"
        )
    return ids
