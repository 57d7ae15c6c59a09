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


def expanded(words: list[str], command: str, parsers: Mapping[str, Callable[[], Parser]]) -> list[str]:
    """A command line with the flags of the file that it names in that one's place, before its own, which win.

    Keys at the top are for every command that has such a flag, those of a table for the command of its name.
    Raises UsageError for a key that is no flag.
    """
    path, words = _taken_out(words)
    if path is None:
        return words
    content = _read(path)
    own = parsers[command]().flags
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
    return [*(word for name, value in settings.items() for word in _words(path, name, value)), *words]


def _name(key: str) -> str:
    return "--" + key.replace("-", "_")


def _require(path: Path, names: Iterable[str], flags: Collection[str]) -> None:
    """Raise UsageError for a name that is none of these flags."""
    for name in names:
        if name not in flags or name in {FLAG, "--help", "--version"}:
            raise UsageError(f"{FLAG} {path}: there is no flag {name}{closest(name, flags)}")


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


def _words(path: Path, name: str, value: Any) -> Iterator[str]:
    """The words of one flag. `true` gives a flag without a value, `false` leaves it out, a list has commas."""
    if "\0" in str(value):
        raise UsageError(f"{FLAG} {path}: {name} holds a NUL character")
    if isinstance(value, bool):
        yield from [name] if value else []
    elif isinstance(value, list):
        yield f"{name}={','.join(map(str, value))}"
    elif isinstance(value, str | int | float):
        yield f"{name}={value}"
    else:
        raise UsageError(f"{FLAG} {path}: {name} is neither a number nor text, a list or true")
