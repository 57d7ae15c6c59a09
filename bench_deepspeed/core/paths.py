"""Where things lie, relative to the checkout."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = "bench_deepspeed"
ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
LOGS = ROOT / "logs"
QUESTIONS = ROOT / "bench_deepspeed" / "benchmarks" / "common" / "questions.json"
DOCS = ROOT / "docs"
RESULTS = DOCS / "results"
VENV = ROOT / ".venv"
MODEL_DATA = VENV / "model-data"
"""Packages of models/requirements.txt, off Python's path: without what they depend on, importing them fails."""

SETUP = ROOT / "setup.sh"


def is_file(path: str | Path) -> bool:
    """As Path.is_file, which raises for a name that is too long."""
    return os.path.isfile(path)  # noqa: PTH113


def exists(path: str | Path) -> bool:
    """As Path.exists, which raises for a name that is too long."""
    return os.path.exists(path)  # noqa: PTH110


def file_in(path: Path, name: str) -> Path:
    """The file of that name in a folder; the path itself where it is no folder, or cannot be one."""
    return path / name if os.path.isdir(path) else path  # noqa: PTH112 – Path.is_dir raises for a name that is too long


def without_home(text: str) -> str:
    """The text with ~ for the home folder, whose path may hold a user's name."""
    home = os.environ.get("HOME", "")  # which `own_environment` sees to
    return text.replace(home, "~") if len(home) > 1 else text


def shown(path: Path) -> str:
    """A path as short as it can be pasted from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
