"""What holds for every unit test: it starts no process. One that does belongs to tests/command."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a process fails the test."""

    def refuse(*arguments, **_):
        raise AssertionError(f"a unit test started a process: {arguments}")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
