"""What a finished file holds in addition to its measurements, and whether it is right.

`digests`: the SHA-256 of the canonical JSON of each top-level field. `derived`: each row of the kind's metrics as it
was when the file was closed, by the columns of flat files. Both are written once, when a measurement ends, and
recomputed by `verify`. A digest finds what was altered by chance or by hand; who alters a file and makes its digests
again is found by the derived values alone, as far as these depend on what was altered.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.json_files import parse_json, read_bytes, write_json
from bench_deepspeed.core.text import counted, one_line
from bench_deepspeed.machine.software import source_digest
from bench_deepspeed.measure import metric

from .kind import Kind

DIGESTS, DERIVED = "digests", "derived"
CLOSE = 1e-9
"""Relative difference of two values that are the same: libraries of other versions sum in another order."""
SHOWN = 40
"""Characters of a value in a message."""
NAMED = 3
"""Differences that a message names."""


class Difference(NamedTuple):
    """A value of the file, by its path in it, and what it is when it is computed from the samples again."""

    path: str
    saved: object
    recomputed: object

    def __str__(self) -> str:
        field = self.path.removeprefix(f"{DIGESTS}.")
        if field != self.path:
            return f"{field} does not match its SHA-256 in {DIGESTS}"
        saved, recomputed = (one_line(str(value))[:SHOWN] for value in (self.saved, self.recomputed))
        return f"{self.path} is {saved} in the file, {recomputed} recomputed"


@dataclass(frozen=True)
class Verification:
    """The numbers of recomputed values and of samples of a file, and the values that differ.

    `altered` contradicts a digest. `derived` differs from what the code computes now. `unclosed` is why the file
    rightly has no digests; None where it must have them. `commit` is that of the code that computed it, where that is
    another than this.
    """

    values: int
    samples: int
    altered: list[Difference]
    derived: list[Difference]
    unclosed: str | None
    commit: str | None

    @property
    def differs(self) -> bool:
        """Whether the file was altered, or its derived values are not those of this version of the code that wrote
        it."""
        return bool(self.altered or (self.derived and self.commit is None))

    def __str__(self) -> str:
        if self.differs:
            return f"differs: {_first([*self.altered, *self.derived])}"
        done = f"{counted(self.values, 'derived value')} recomputed from {counted(self.samples, 'sample')}"
        if self.derived:
            own = (self.commit or "")[:12]
            done += f", of which {len(self.derived)} differ by the rules of this version (its own is {own}): "
            done += _first(self.derived)
        return f"no digest: {self.unclosed}; {done}" if self.unclosed else f"verified: {done}"


def _first(found: Sequence[Difference]) -> str:
    """The first of these differences, and how many more there are."""
    more = [f"and {len(found) - NAMED} more"] if len(found) > NAMED else []
    return "; ".join([*map(str, found[:NAMED]), *more])


def close(kind: Kind, path: Path) -> None:
    """Add digests and, to a result that may be published or is complete, derived values to its file. Raises OSError.

    What cannot be read back, or is beyond the device's limits, gets no derived values: it is shown nowhere as a speed.
    """
    data = _parsed(path)
    try:
        content = kind.load(path)
        kind.require_possible(content)
        shown = content.status == "complete" or kind.refusal(content) is None
        data[DERIVED] = derived(kind, content) if shown else []
    except BenchError:
        data[DERIVED] = []
    write_json(path, {**data, DIGESTS: digests(data)})


def digests(data: Mapping[str, object]) -> dict[str, str]:
    """Top-level field → SHA-256 of its canonical JSON: keys sorted, no spaces, UTF-8."""
    return {name: digest(value) for name, value in data.items() if name != DIGESTS}


def digest(value: object) -> str:
    """The SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def derived(kind: Kind, content) -> list[dict[str, object]]:
    """Every metric of every row, by its column; None for what was not measured or is no number."""
    rows = [metric.flat(kind.metrics, row) for row in kind.rows(content)]
    return [{name: _finite(value) for name, value in row.items()} for row in rows]


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def verify(kind: Kind, path: Path) -> Verification:
    """Recompute everything that is derived in the file. Raises BenchError for a file that is not of this kind."""
    data, content = _parsed(path), kind.load(path)
    facts = content.environment
    unclosed = None if DIGESTS in data else _unclosed(content)
    sums = [] if unclosed else list(leaves(data.get(DIGESTS, "missing"), digests(data), DIGESTS))
    again = [(place, _at(data, place), value) for place, value in kind.recomputed(content).items()]
    if rows := data.get(DERIVED):
        again.append(((DERIVED,), rows, derived(kind, content)))
    values = [pair for place, saved, value in again for pair in leaves(saved, value, ".".join(map(str, place)))]
    return Verification(
        values=len(sums) + len(values),
        samples=kind.count_samples(content),
        altered=[pair for pair in sums if not same(pair)],
        derived=[pair for pair in values if not same(pair)],
        unclosed=unclosed,
        commit=None if facts.source == source_digest() else facts.commit or "not recorded",
    )


def _unclosed(content) -> str | None:
    """Why a file without digests need not have any; None where it must."""
    if content.environment.source is None:
        return "written before digests were kept"
    return "its run has not ended, or was killed" if content.status == "running" else None


def _parsed(path: Path) -> dict:
    data = parse_json(read_bytes(path), path)
    if not isinstance(data, dict):
        raise BenchError(f"{path} is not a result of this suite")
    return data


def _at(data: Any, place: Sequence[str | int]) -> Any:
    """The value at a place of a JSON."""
    return functools.reduce(operator.getitem, place, data)


def leaves(saved: object, again: object, path: str) -> Iterator[Difference]:
    """The single values of two JSON values side by side; of lists of other lengths, these too."""
    if isinstance(saved, dict) and isinstance(again, dict):
        for key in {**saved, **again}:
            yield from leaves(saved.get(key), again.get(key), f"{path}.{key}")
    elif isinstance(saved, list) and isinstance(again, list):
        if len(saved) != len(again):
            yield Difference(f"the length of {path}", len(saved), len(again))
        for number, (one, other) in enumerate(zip(saved, again, strict=False)):
            yield from leaves(one, other, f"{path}.{number}")
    else:
        yield Difference(path, saved, again)


def same(pair: Difference) -> bool:
    """Whether both values are equal; numbers within the rounding of sums in another order."""
    saved, again = pair.saved, pair.recomputed
    if isinstance(saved, float) and isinstance(again, float | int):
        return math.isclose(saved, again, rel_tol=CLOSE, abs_tol=1e-15)
    return bool(saved == again)
