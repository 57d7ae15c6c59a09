"""The command line that this process was given, as a result keeps it: to be pasted, without secrets and paths."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from .paths import ROOT, without_home
from .secrets import redacted, without_secrets

SCRIPT = "./bench_deepspeed/bench.sh"
"""As the documents call it: from the checkout."""
PROMPT_FLAGS = ("-p", "--prompt")
FLAG = re.compile(r"--?[A-Za-z_-]+=|-lf(?=/)")
"""A flag that its value follows in the same word."""
_KEPT: list[str] = []


def keep(argv: Sequence[str]) -> None:
    """Remember the arguments that this process was given."""
    _KEPT[:] = [published(argv)]


def kept() -> str | None:
    """The command that was kept, as it may be published; None where none was given."""
    return _KEPT[0] if _KEPT else None


def published(argv: Sequence[str]) -> str:
    """The command of these arguments, quoted for a shell.

    Values of secret variables and what looks like a secret become "(not shown)". Of an absolute path outside the
    checkout and the current folder, which may hold a user's name, only what is below the home folder is kept, else the
    last part.
    """
    words = [_argument(argument, before in PROMPT_FLAGS) for before, argument in zip(["", *argv], argv, strict=False)]
    return without_home(" ".join([SCRIPT, *words]).encode("utf-8", "backslashreplace").decode())


def _quoted(text: str) -> str:
    """Quoted for a shell, as it is best read."""
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!') else shlex.quote(text)


def _argument(text: str, is_prompt: bool) -> str:
    match = FLAG.match(text)
    flag = match[0] if match else ""
    if is_prompt or flag.rstrip("=") in PROMPT_FLAGS:
        return _quoted(without_secrets(text))
    value = _path(without_secrets(_configuration(text.removeprefix(flag))))
    if flag and value.startswith("~/"):
        return f"{_quoted(flag.rstrip('='))} {value}"  # the shell expands ~ at the beginning of a word alone
    return (_quoted(flag) if flag else "") + value


def _configuration(text: str) -> str:
    """ "engine=mii env.NAME=value": without the values of secret variables, and without the path of a Python."""
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    shown = [_setting(word) for word in words]
    return text if shown == words else " ".join(map(_quoted, shown))


def _setting(word: str) -> str:
    key, equals, value = word.partition("=")
    if key.startswith("env."):
        return f"{key}={_shortened(redacted(key.removeprefix('env.'), value))}"
    return f"{key}={_shortened(value)}" if equals and key == "python" else word


def _path(text: str) -> str:
    """Quoted; a path below the home folder with an unquoted ~, which the shell expands."""
    short = _shortened(text)
    return "~/" + _quoted(short[2:]) if short.startswith("~/") and short != text else _quoted(short)


def _shortened(text: str) -> str:
    """What is no absolute path stays as it is, and so do devices."""
    if not text.startswith("/") or text.startswith("/dev/"):
        return text
    for folder in (Path.cwd(), ROOT):
        if Path(text).is_relative_to(folder) and not _holds_home(folder):
            relative = str(Path(text).relative_to(folder))
            return relative if "/" in relative else f"./{relative}"  # a bare name may be looked for on the path
    home = without_home(text)
    return home if home.startswith("~/") else f"…/{Path(text).name}"


def _holds_home(folder: Path) -> bool:
    """Whether a folder is above the home folder: what is below it may hold a user's name."""
    return folder in Path(os.environ.get("HOME", "/")).parents or folder == Path("/")
