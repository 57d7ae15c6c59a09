"""A file of flags, `--config FILE`: TOML with the flags' names as keys. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench_deepspeed.core.arguments import Parser
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.text import closest

FLAG = "--config"


def arguments(words: list[str], command: str, parsers: Mapping[str, Callable[[], Parser]]) -> list[str]:
    """The flags of the file that a command line names, to stand before its own, which win; none without such a file.

    Keys at the top are for every command that has such a flag, those of a table for the command of its name.
    Raises UsageError for a key that is no flag.
    """
    path = _path(words)
    if path is None:
        return []
    content = _read(path)
    own = parsers[command]().flags
    known = {flag for parser in parsers.values() for flag in parser().flags}
    shared = {key: value for key, value in content.items() if not isinstance(value, dict)}
    _require(path, shared, known)
    table = content.get(command, {})
    _require(path, table, own)
    settings = {**{key: value for key, value in shared.items() if _name(key) in own}, **table}
    return [word for key, value in settings.items() for word in _words(path, key, value)]


def _name(key: str) -> str:
    return "--" + key.replace("-", "_")


def _require(path: Path, keys: Iterable[str], flags: Collection[str]) -> None:
    """Raise UsageError for a key that is none of these flags."""
    for name in map(_name, keys):
        if name not in flags or name in {FLAG, "--help", "--version"}:
            raise UsageError(f"{FLAG} {path}: there is no flag {name}{closest(name, flags)}")


def _path(words: list[str]) -> Path | None:
    """The file that --config names last, if it is there with a name."""
    found = None
    for place, word in enumerate(words):
        if word == FLAG and place + 1 < len(words):
            found = words[place + 1]
        elif word.startswith(f"{FLAG}="):
            found = word.partition("=")[2]
    return Path(found) if found else None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        raise UsageError(f"{FLAG} needs Python 3.11 or newer, which reads TOML: give the flags themselves") from None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{FLAG} {path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # TOMLDecodeError, or no UTF-8
        raise UsageError(f"{FLAG} {path}: {error}") from None


def _words(path: Path, key: str, value: Any) -> Iterator[str]:
    """The words of one flag. `true` gives a flag without a value, `false` leaves it out, a list has commas."""
    name = _name(key)
    if isinstance(value, bool):
        yield from [name] if value else []
    elif isinstance(value, list):
        yield f"{name}={','.join(map(str, value))}"
    elif isinstance(value, str | int | float):
        yield f"{name}={value}"
    else:
        raise UsageError(f"{FLAG} {path}: {key} is neither a number nor text, a list or true")
