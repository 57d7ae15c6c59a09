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
APT = "-qq -y --no-install-recommends -o DPkg::Lock::Timeout=120"


class Machine:
    """A checkout whose packages are all installed, and a PATH with nothing but what is put there."""

    def __init__(self, folder: Path):
        self.root, self.path, self.called = folder / "checkout", folder / "bin", folder / "called"
        self.path.mkdir()
        self.called.touch()
        for name in ("bash", "readlink", "cksum", "flock"):
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
        path.write_text(f'#!/bin/bash\necho "{path.name} $*" >>"{self.called}"\n{then}\n')
        path.chmod(0o755)

    def set_up(self, *flags: str, script: Path | None = None, **variables: str) -> tuple[int, list[str], list[str]]:
        """Exit code, lines on stderr, and what was called."""
        command = [str(script or self.root / "setup.sh"), *(flags or ["--tests"])]
        environment = {"PATH": str(self.path), **variables}
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        return done.returncode, done.stderr.splitlines(), self.called.read_text().splitlines()


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
        assert called == ["apt-get update -qq", f"apt-get install {APT} chromium"]
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


def test_a_file_system_without_locks_does_not_keep_a_whole_environment_from_use(machine):
    (machine.path / "flock").unlink()
    machine.program(machine.path / "flock", "echo 'flock: 9: Function not implemented' >&2; exit 1")
    machine.program(machine.path / "chromium", WORKS)
    code, said, called = machine.set_up()
    assert (code, said, called) == (0, [], ["flock 9"])


def test_what_a_user_has_set_for_pip_and_python_elsewhere_does_not_reach_them(machine):
    (machine.root / ".venv" / ".installed").unlink()
    python = machine.root / ".venv" / "bin" / "python"
    machine.program(python, 'env | grep -E "^(PIP|PYTHON)" >"${0%/*}/seen"')
    machine.program(machine.path / "chromium", WORKS)
    for tool in ("env", "grep"):
        (machine.path / tool).symlink_to(shutil.which(tool))
    foreign = (
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_ROOT",
        "PIP_REQUIRE_VIRTUALENV",
        "PIP_DRY_RUN",
        "PYTHONHOME",
        "PYTHONPATH",
    )
    variables = {**dict.fromkeys(foreign, "/elsewhere"), "PIP_USER": "1", "PIP_RETRIES": "7", "CDPATH": "/"}
    code, said, _ = machine.set_up(**variables)
    assert code == 0, said
    seen = dict(line.split("=", 1) for line in (python.parent / "seen").read_text().splitlines())
    assert seen == {"PIP_USER": "0", "PYTHONNOUSERSITE": "1", "PIP_RETRIES": "7"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [(("--light", "--tests"), "--light and --tests exclude each other"), (("--lite",), "unknown argument '--lite'")],
)
def test_impossible_flags_are_refused(machine, flags, words):
    code, said, called = machine.set_up(*flags)
    assert (code, len(said), called) == (2, 1, [])
    assert words in said[0]


def test_where_all_packages_are_the_light_set_is_there_too(machine):
    assert machine.set_up("--light") == (0, [], [])


def test_the_light_set_is_the_part_of_the_requirements_that_reads_results(machine):
    (machine.root / ".venv" / ".installed").unlink()
    (machine.path / "sed").symlink_to(shutil.which("sed"))
    machine.program(machine.root / ".venv" / "bin" / "python", WORKS)
    code, said, called = machine.set_up("--light")
    assert (code, len(said)) == (0, 1)
    assert "pip install" in called[0]
    assert called[0].endswith("/.venv/light.txt")
    listed = (machine.root / ".venv" / "light.txt").read_text()
    assert "pydantic==" in listed
    assert "torch==" not in listed


def test_a_link_to_setup_sh_sets_up_the_checkout(machine, tmp_path):
    machine.program(machine.path / "chromium", WORKS)
    link = tmp_path / "link"
    link.symlink_to(machine.root / "setup.sh")
    assert machine.set_up(script=link) == (0, [], [])


@pytest.mark.parametrize("stamp", REQUIREMENTS)
def test_a_list_that_cannot_be_installed_is_an_error_also_of_what_runs_in_the_background(machine, stamp):
    machine.program(machine.path / "chromium", WORKS)
    (machine.root / ".venv" / stamp).unlink()
    code, said, called = machine.set_up()
    assert (code, len(said), len(called)) == (3, 2, 1)
    assert f"installing {REQUIREMENTS[stamp]} into .venv" in said[0]
    assert said[1].startswith("setup.sh: error: pip failed")
    assert not (machine.root / ".venv" / stamp).exists()


def test_what_is_installed_is_compiled_once_at_the_end(machine):
    machine.program(machine.path / "chromium", WORKS)
    machine.program(machine.root / ".venv" / "bin" / "python", WORKS)
    for stamp in REQUIREMENTS:
        (machine.root / ".venv" / stamp).unlink()
    code, said, called = machine.set_up()
    assert (code, len(said)) == (0, len(REQUIREMENTS))
    assert sorted("pip install" in line for line in called) == [False, True, True, True]
    assert "-m compileall" in called[-1]
    assert machine.set_up() == (0, [], called)
