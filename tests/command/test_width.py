"""What every command prints fits the terminal that it is printed on, and a pipe's 80 columns whatever COLUMNS says."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from builders import steady_result
from support import BENCH, SHORTEST, behave

from bench_deepspeed.cli.commands import COMMANDS
from bench_deepspeed.core.text import FAKE as FAKE_CAVEAT

FAKE = ("-d", "cpu", "--engine", "fake", "--warmups", "0", "-m", "2", "-r", "2", "--processes", "2")
SWEEP = (
    "--engines",
    "fake",
    "--batch_sizes",
    "1,2",
    "--prompt_tokens",
    "8,9",
    "--max_tokens",
    "2,3",
    "-r",
    "1",
    "--processes",
    "1",
)
SIDES = ("--a", "engine=fake", "--b", "engine=fake env.BENCH_FAKE={}")
MEASURED = {
    "run": FAKE,
    "sweep": ("sweep", "-d", "cpu", *SWEEP),
    "load": (*SHORTEST["load"], "--rates", "20"),
    "ab": ("ab", "-d", "cpu", *SIDES, "--rounds", "2", "--warmups", "0", "--processes", "1", "-m", "2"),
}
"""Command → a measurement with nothing real in it."""


class Terminal:
    """Commands on a terminal of so many columns, in a folder with a saved file of each kind in `logs`."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, columns: int, *arguments: str | Path, **env: str) -> list[str]:
        """The lines of standard output, which is the terminal."""
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with os.fdopen(parent, "rb", closefd=True) as reader:
            process = self._start(arguments, child, env)
            os.close(child)
            printed = b""
            try:
                while read := os.read(reader.fileno(), 65536):
                    printed += read
            except OSError:  # Linux: everybody has closed the other end
                pass
            process.wait()
        return printed.decode().replace("\r\n", "\n").splitlines()

    def piped(self, *arguments: str | Path, **env: str) -> str:
        """Standard output, which is a pipe."""
        return self._start(arguments, subprocess.PIPE, env).communicate()[0].decode()

    def _start(self, arguments, output, env: dict[str, str]) -> subprocess.Popen:
        return subprocess.Popen(
            [BENCH, *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "BENCH_PYTHON": sys.executable, **behave(), **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def too_wide(lines: list[str], columns: int) -> list[str]:
    """Lines beyond the columns, but for those of one word after a name: a path is not broken."""
    return [line for line in lines if len(line) > columns and len(line.split()) > 2]


@pytest.mark.parametrize("name", MEASURED)
def test_what_is_measured_and_what_is_saved_of_it_fit_80_columns(terminal, name):
    lines = terminal(80, *MEASURED[name], "--output_dir", "out")
    assert "tokens/s" in "\n".join(lines)
    assert too_wide(lines, 80) == []
    assert FAKE_CAVEAT in " ".join(" ".join(lines[:6]).split()).lower()
    listed = terminal(80, "results", "--output_dir", "out")
    assert too_wide(listed, 80) == []
    (one,) = {match[1] for line in listed if (match := re.match(r"\| (\S+/2\S+)", line))}
    shown = terminal(80, "results", one, "--output_dir", "out")
    assert "tokens/s" in "\n".join(shown)
    assert too_wide(shown, 80) == []
    assert not any("\x1b" in line for line in [*lines, *listed, *shown])


@pytest.mark.parametrize("name", ["run", "sweep", "ab"])
def test_a_plan_fits_80_columns(terminal, name):
    lines = terminal(80, *MEASURED[name], "--dry_run")
    assert len(lines) > 2
    assert too_wide(lines, 80) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns(terminal, name):
    lines = terminal(80, name, "--help", COLUMNS="200")
    assert lines[0].startswith("usage: ")
    assert too_wide(lines, 80) == []


def test_doctor_fits_80_columns(terminal):
    lines = terminal(80, "doctor", HF_ENDPOINT="http://127.0.0.1:1")
    assert any(line.startswith("ok  ") for line in lines)
    assert too_wide(lines, 80) == []


def test_a_comparison_fits_80_columns_and_uses_120(terminal, tmp_path):
    for name, engine in (("a", "mii"), ("b", "transformers")):
        one = steady_result(1.0, 2.0, 3.0, engine=engine)
        one.save(tmp_path / f"{name}.json")
    narrow, wide = (terminal(columns, "compare", "a.json", "b.json") for columns in (80, 120))
    assert too_wide(narrow, 80) == []
    assert too_wide(wide, 120) == []
    assert max(map(len, wide)) > 80


def test_what_is_piped_is_the_same_whatever_columns_says(terminal):
    terminal.piped(*FAKE, "--output_dir", "out")
    texts = {terminal.piped("results", "--output_dir", "out", COLUMNS=columns) for columns in ("40", "80", "200")}
    (text,) = texts
    assert too_wide(text.splitlines(), 80) == []
    assert "\x1b" not in text
