"""setup.sh --tests sees to a browser: one that is there, Debian's, Playwright's, or one clear line."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import ROOT

REQUIREMENTS = {
    ".installed": "requirements.txt",
    ".installed-models": "models/requirements.txt",
    ".installed-tests": "tests/requirements.txt",
}
WORKS, FAILS = "exit 0", "exit 1"


class Machine:
    """A checkout whose packages are all installed, and a PATH with nothing but what is put there."""

    def __init__(self, folder: Path):
        self.root, self.path, self.told = folder / "checkout", folder / "bin", folder / "told"
        self.path.mkdir()
        self.told.touch()
        for name in ("bash", "dirname", "cksum", "flock"):
            (self.path / name).symlink_to(shutil.which(name))
        (self.root / ".venv" / "bin").mkdir(parents=True)
        (self.root / ".venv" / ".made").touch()
        shutil.copy(ROOT / "setup.sh", self.root)
        for stamp, name in REQUIREMENTS.items():
            (self.root / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
            with (self.root / name).open() as file:
                digest = subprocess.run(["cksum"], stdin=file, check=True, capture_output=True, text=True).stdout
            (self.root / ".venv" / stamp).write_text(digest)
        self.program(self.root / ".venv" / "bin" / "python", FAILS)

    def program(self, path: Path, then: str) -> None:
        """A program that writes down how it was called."""
        path.write_text(f'#!/bin/bash\necho "{path.name} $*" >>"{self.told}"\n{then}\n')
        path.chmod(0o755)

    def set_up(self) -> tuple[int, list[str], list[str]]:
        """Exit code, lines on stderr, and what was called."""
        command = [str(self.root / "setup.sh"), "--tests"]
        done = subprocess.run(command, env={"PATH": str(self.path)}, check=False, capture_output=True, text=True)
        return done.returncode, done.stderr.splitlines(), self.told.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("name", ["chromium", "google-chrome"])
def test_a_browser_that_is_there_is_taken(machine, name):
    machine.program(machine.path / name, FAILS)
    assert machine.set_up() == (0, [], [])


def test_debians_is_installed_where_that_is_possible(machine):
    machine.program(machine.path / "apt-get", WORKS)
    machine.program(machine.root / ".venv" / "bin" / "python", WORKS)
    code, said, called = machine.set_up()
    if os.geteuid() == 0:
        assert (code, len(said)) == (0, 1)
        assert "installing chromium" in said[0]
        assert called == ["apt-get update -qq", "apt-get install -qq -y chromium"]
    else:
        assert (code, said, called) == (0, [], ["python -m playwright install chromium"])


def test_playwrights_own_is_next(machine):
    machine.program(machine.path / "apt-get", FAILS)
    machine.program(machine.root / ".venv" / "bin" / "python", WORKS)
    code, _, called = machine.set_up()
    assert code == 0
    assert called[-1] == "python -m playwright install chromium"


def test_without_any_it_is_one_clear_line(machine):
    code, said, _ = machine.set_up()
    assert code == 3
    assert said == [
        "setup.sh: error: no browser for the tests: install chromium or google-chrome, and run the same command again"
    ]
