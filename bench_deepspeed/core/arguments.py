"""argparse with errors of one line, and the types of flags."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from .errors import UsageError


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line, through the suite's own exit, and without abbreviations. -h is added last."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, add_help=False, **settings)

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
