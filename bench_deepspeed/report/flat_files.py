"""CSV and JSON lines: raw numbers in flat columns."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence

FlatRow = Mapping[str, object]
"""Column → value."""


def as_csv(rows: Sequence[FlatRow], names: Iterable[str]) -> str:
    """A header and the lines, RFC 4180 with plain line ends; a cell without a value is empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_jsonl(rows: Sequence[FlatRow]) -> str:
    """One JSON object a line; what is not measured, or no number at all (a NaN), is null."""
    return "".join(json.dumps({n: _finite(v) for n, v in row.items()}, ensure_ascii=False) + "\n" for row in rows)


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
