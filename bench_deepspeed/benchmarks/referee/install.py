"""Tools in virtual environments of their own, made once and kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.json_files import parse_json, read_bytes, write_json
from bench_deepspeed.core.text import one_line

from .tools.base import Installed, Tool

MADE = "packages.json"
"""In an environment that is whole: package → version."""


def place(tool: Tool, folder: Path) -> Path:
    """Where a tool's environment is."""
    return folder.absolute() / str(tool.requirement).replace("==", "-")


def installed(tool: Tool, folder: Path) -> Installed | None:
    """The tool as it is there; None where it is not. This suite is always."""
    if tool.requirement is None:
        return Installed(tool, Path(sys.executable))
    home = place(tool, folder)
    if not (home / MADE).is_file():
        return None
    return Installed(tool, home / "bin" / "python", dict(parse_json(read_bytes(home / MADE), home / MADE)))


def lacks(tool: Tool, folder: Path) -> str | None:
    """Which Python would have to be there for a tool that is not installed; None where nothing is missing."""
    if installed(tool, folder) or _python_for(tool):
        return None
    names = " or ".join(f"python{version}" for version in tool.pythons)
    return f"{tool.requirement} needs {names} on PATH, with the module venv"


def _python_for(tool: Tool) -> str | None:
    """This Python where the tool supports it, else the first on PATH that it does and that can make environments."""
    own = ".".join(map(str, sys.version_info[:2]))
    if not tool.pythons or own in tool.pythons:
        return sys.executable
    found = (shutil.which(f"python{version}") for version in tool.pythons)
    return next((python for python in found if python and _makes_environments(python)), None)


def _makes_environments(python: str) -> bool:
    """A name on PATH may be that of a version manager, which has no such version, or lack a part of its library."""
    return not subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode


def install(tool: Tool, folder: Path) -> Installed:
    """Make a tool's environment, where it is not there.

    Raises MachineError with pip's last line, or where there is no Python for it.
    """
    if there := installed(tool, folder):
        return there
    base = _python_for(tool)
    if base is None:
        raise MachineError(str(lacks(tool, folder)))
    home = place(tool, folder)
    shutil.rmtree(home, ignore_errors=True)  # one that was not finished
    python = home / "bin" / "python"
    _call(tool, [base, "-m", "venv", str(home)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    _call(tool, [*pip, "install", "--quiet", str(tool.requirement)])
    packages = {one["name"]: one["version"] for one in json.loads(_call(tool, [*pip, "list", "--format", "json"]))}
    write_json(home / MADE, packages)
    return Installed(tool, python, packages)


def _call(tool: Tool, command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        *_, last = ["no message", *done.stderr.strip().splitlines()]
        raise MachineError(f"{tool.requirement} cannot be installed: {one_line(last)[:200]}")
    return done.stdout
