"""A file of flags, `--config FILE`: TOML with the flags' names as keys. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.errors import BenchError, UsageError
from bench_deepspeed.core.json_files import read_bytes
from bench_deepspeed.core.text import closest

FLAG = "--config"
COMMAND_LINE_ONLY = frozenset({FLAG, "--help", "--version"})


def expanded(words: list[str], command: str, parsers: Mapping[str, Callable[[], Parser]]) -> list[str]:
    """A command line with the flags of the file that it names in that one's place, before its own, which win.

    Keys at the top are for every command that has such a flag, those of a table for the command of its name.
    Raises UsageError, with the file and the key, for a key that is no flag and for a value that its flag refuses.
    """
    path, words = _taken_out(words)
    if path is None:
        return words
    content = _read(path)
    parser = parsers[command]()
    own = parser.flags
    known = {flag for parser in parsers.values() for flag in parser().flags}
    for name, value in content.items():
        if (name in parsers) != isinstance(value, dict):
            wrong = f"is a command: its flags stand in a table [{name}]"
            if name not in parsers:
                wrong = f"is the table of no command{closest(name, parsers)}"
            raise UsageError(f"{FLAG} {path}: {name} {wrong}")
    shared = {_name(key): value for key, value in content.items() if not isinstance(value, dict)}
    table = {_name(key): value for key, value in content.get(command, {}).items()}
    _require(path, shared, known)
    _require(path, table, own)
    settings = {**{name: value for name, value in shared.items() if name in own}, **table}
    return [*(word for name, value in settings.items() for word in _words(path, parser, name, value)), *words]


def _name(key: str) -> str:
    return "--" + key.replace("-", "_")


def _require(path: Path, names: Iterable[str], flags: Collection[str]) -> None:
    """Raise UsageError for a name that is none of these flags."""
    for name in names:
        if name in COMMAND_LINE_ONLY:
            raise UsageError(f"{FLAG} {path}: {name} stands on the command line only: remove it from the file")
        if name not in flags:
            known = [flag for flag in flags if flag not in COMMAND_LINE_ONLY]
            raise UsageError(f"{FLAG} {path}: there is no flag {name}{closest(name, known)}")


def _taken_out(words: list[str]) -> tuple[Path | None, list[str]]:
    """The file that --config names last, if it names one, and the words without it."""
    found, others, rest = None, [], iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name != FLAG:
            others.append(word)
        elif (path := value if equals else next(rest, "")) == "":
            return None, words  # argparse reports that the file's name is missing
        else:
            found = Path(path)
    return found, others


def _read(path: Path) -> Mapping[str, Any]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        raise UsageError(f"{FLAG} needs Python 3.11 or newer, which reads TOML: give the flags themselves") from None
    try:
        return tomllib.loads(read_bytes(path).decode())
    except BenchError as error:
        raise UsageError(f"{FLAG}: {error}") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, or no UTF-8
        raise UsageError(f"{FLAG} {path}: {error}") from None


def _words(path: Path, parser: Parser, name: str, value: Any) -> Iterator[str]:
    """The words of one flag. `true` gives a flag without a value, `false` leaves it out, a list has commas."""
    if "\0" in str(value):
        raise UsageError(f"{FLAG} {path}: {name} holds a NUL character")
    if not isinstance(value, bool | list | str | int | float):
        raise UsageError(f"{FLAG} {path}: {name} is neither a number nor text, a list or true")
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if problem := parser.problem_with(name, None if isinstance(value, bool) else text):
        raise UsageError(f"{FLAG} {path}: {name}: {problem}")
    if not isinstance(value, bool):
        yield f"{name}={text}"
    elif value:
        yield name
