"""Words and forms that every output shares."""

from __future__ import annotations

NOT_MEASURED = "not measured"
RANDOM = " (random weights)"
"""Behind the title of a model whose weights are random."""
