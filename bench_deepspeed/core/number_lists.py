"""Lists and ranges on the command line: `1,2,4`, `128-2048*2`, `1-4+1`, a plain value, and mixtures."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable

SYNTAX = "give values and ranges with commas between, such as 1,2,4 or 128-2048*2 (doubling) or 1-4+1 (by ones)"
LARGEST = 10**7
MOST = 1000  # of a sweep's axis; more is a slip of the finger
ALL = "all"
RANGE = re.compile(r"(\d+)-(\d+)([*+])(\d+)")


def numbers(text: str) -> list[int]:
    """The whole numbers that a text names, each once, in its order. Raises ArgumentTypeError with the syntax."""
    values: dict[int, None] = {}
    for part in _parts(text):
        values.update(dict.fromkeys(_expand(part, text)))
    if len(values) > MOST:
        raise _refusal(text, f"it names more than {MOST} values")
    return list(values)


def names_among(allowed: tuple[str, ...], every: tuple[str, ...] = ()) -> Callable[[str], list[str]]:
    """A parser of lists of these names, each once, in their order; `all` is `every`, where there are any."""

    def parse(text: str) -> list[str]:
        parts = _parts(text)
        if every and parts == [ALL]:
            return list(every)
        if unknown := [part for part in parts if part not in allowed]:
            raise ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(allowed)}; give them with commas between")
        return list(dict.fromkeys(parts))

    return parse


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _expand(part: str, text: str) -> list[int]:
    if re.fullmatch(r"\d+", part, re.ASCII):
        return [_within(int(part), text)]
    interval = RANGE.fullmatch(part)
    if not interval or not part.isascii():
        raise _refusal(text, f"{part!r} is neither a whole number nor a range")
    first, last, by = _within(int(interval[1]), text), _within(int(interval[2]), text), int(interval[4])
    if last < first:
        raise _refusal(text, f"{part!r} ends before it starts")
    if by < (2 if interval[3] == "*" else 1):
        raise _refusal(text, f"{part!r} never gets from {first} to {last}")
    if interval[3] == "+":
        return list(range(first, last + 1, by))[: MOST + 1]
    values = [first]
    while values[-1] * by <= last:
        values.append(values[-1] * by)
    return values


def _within(value: int, text: str) -> int:
    if not 1 <= value <= LARGEST:
        raise _refusal(text, f"{value} is not between 1 and {LARGEST:,}")
    return value


def _refusal(text: str, reason: str) -> ArgumentTypeError:
    return ArgumentTypeError(f"{text!r}: {reason}; {SYNTAX}")
