"""argparse with errors of one line, and the types of flags."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from .errors import UsageError
from .streams import columns
from .text import wrapped


class _Help(argparse.HelpFormatter):
    """Help as wide as the terminal, whatever COLUMNS says; lines of a description that are broken by hand stay so."""

    def __init__(self, prog: str):
        super().__init__(prog, width=columns())

    def _format_text(self, text: str) -> str:
        """Each line of a description or an epilog wrapped by itself; what goes on stands below the text of a list."""
        hanging = (" " * (match.end() if (match := LISTED.match(line)) else 0) for line in text.splitlines())
        pairs = zip(text.splitlines(), hanging, strict=True)
        return "\n".join(wrapped(line, columns(), indent) for line, indent in pairs) + "\n\n"


LISTED = re.compile(r" +(bench\.sh \w+|\d+) +")
"""What a line of a list in a help begins with."""


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line, through the suite's own exit, and without abbreviations. -h is added last."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, add_help=False, formatter_class=_Help, **settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog.replace(' [run]', '')} --help")


class WordsParser(Parser):
    """A parser of words that may stand on both sides of a flag. Needs a `usage`: argparse trips over % in its own."""

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        return self.parse_intermixed_args(args, namespace)


def whole_number(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


def positive_integer(text: str) -> int:
    value = whole_number(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is too few: at least 1")
    return value


def percentage(text: str) -> float:
    number = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if not number or not 0 < float(number[1]) < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage between 0% and 100%, such as 1% or 0.5%")
    return float(number[1]) / 100
