"""argparse with errors of one line, and the types of flags."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from .errors import UsageError
from .streams import columns
from .text import closest, wrapped


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
    """argparse, with errors of one line, through the suite's own exit, and without abbreviations. -h is added last.

    A hyphen in the name of a flag is an underscore. An error names the flag or the value that was probably meant.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, add_help=False, formatter_class=_Help, **settings)

    @property
    def flags(self) -> list[str]:
        """The names of all flags, short ones among them."""
        return list(self._option_string_actions)

    def problem_with(self, flag: str, value: str | None) -> str | None:
        """What is wrong with the value of a flag, in words; None where nothing is. A value of None: none is given."""
        action = self._option_string_actions[flag]
        if (action.nargs == 0) != (value is None):
            return "takes true or false" if action.nargs == 0 else "needs a value"
        try:
            self._get_values(action, [] if value is None else [value])
        except argparse.ArgumentError as error:
            return error.message + self._suggestion(error.message)
        return None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        return super().parse_known_args([self._flag(word) for word in args], namespace)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """argparse takes `--flag=--` for a flag without a value, and gives it an empty list."""
        if action.option_strings and arg_strings == ["--"]:
            raise argparse.ArgumentError(action, "'--' is no value")
        return super()._get_values(action, arg_strings)

    def _flag(self, word: str) -> str:
        """A word of the command line; that of a flag with hyphens as the flag is defined."""
        name, equals, value = word.partition("=")
        defined = "--" + name[2:].replace("-", "_")
        return defined + equals + value if name.startswith("--") and defined in self.flags else word

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}{self._suggestion(message)}; see {self.prog.replace(' [run]', '')} --help")

    def _suggestion(self, message: str) -> str:
        if unknown := re.match(r"unrecognized arguments: (-[^\s=]+)", message):
            return closest(unknown[1].replace("-", "_").replace("__", "--", 1), self.flags)
        if wrong := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            return closest(wrong[1], re.findall(r"[\w.]+", wrong[2]))
        return ""


class WordsParser(Parser):
    """A parser of words that may stand on both sides of a flag; behind `--` all are words, whatever they begin with.

    The words are its one positional argument, a list. Needs a `usage`: argparse trips over % in its own.
    """

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        given = list(args or ())
        end = given.index("--") if "--" in given else len(given)
        options = self.parse_intermixed_args(given[:end], namespace)
        (words,) = (action for action in self._actions if not action.option_strings)
        behind = [words.type(text) if callable(words.type) else text for text in given[end + 1 :]]
        setattr(options, words.dest, [*getattr(options, words.dest), *behind])
        return options


LARGEST = 10**9
"""No number of anything here is larger; a larger one is a slip of the finger."""
LONGEST_S, SHORTEST_S = 10**6, 0.001


def whole_number(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    if value > LARGEST:
        raise argparse.ArgumentTypeError(f"{text[:20]} is too many: at most {LARGEST:,}")
    return value


def positive_integer(text: str) -> int:
    value = whole_number(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is too few: at least 1")
    return value


def seconds(text: str) -> float:
    """A time that something can last, in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not SHORTEST_S <= value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from {SHORTEST_S} to {LONGEST_S:,}")
    return value


def price(text: str) -> float:
    """A price, in whatever currency."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a price above 0, such as 2.5")
    return value


def percentage(text: str) -> float:
    """A share of 1, above 0 and below 1."""
    share = _share(text)
    if share is None or not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage between 0% and 100%, such as 1% or 0.5%")
    return share


def spread(text: str) -> float:
    """A share of 1, from 0 to 1."""
    share = _share(text)
    if share is None or share > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage up to 100%, such as 30%")
    return share


def _share(text: str) -> float | None:
    number = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    return float(number[1]) / 100 if number else None


def port(text: str) -> int:
    """A port that any user may listen on. Raises ArgumentTypeError."""
    value = positive_integer(text)
    if not 1024 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port between 1024 and 65535")
    return value
