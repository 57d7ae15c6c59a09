"""How anything that takes more than two seconds reports on itself."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as progress(label, done, total) by whatever takes more than two seconds."""
