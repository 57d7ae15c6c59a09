"""What holds for every unit test: it starts no process. A test that does belongs to tests/command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import InProcess


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a process fails the test."""

    def refuse(*arguments, **_):
        raise AssertionError(f"a unit test started a process: {arguments}")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.fixture
def bench(tmp_path: Path) -> InProcess:
    """The command line, run in an empty folder without a process of its own."""
    return InProcess(tmp_path)
