"""What holds for every test of a command: its figures are placeholders, but where `test_drawing` draws them."""

from __future__ import annotations

from pathlib import Path

import pytest

UNDRAWN = Path(__file__).resolve().parent.parent / "undrawn"


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(UNDRAWN))
