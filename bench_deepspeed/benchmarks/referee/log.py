"""What a server of known times did: its own log, of which truth is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.core.json_files import read_json, write_json

from .schedule import Ending

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Write:
    """One chunk: when it was due, when it was about to be handed to the kernel, and when the kernel had it.

    Seconds of `Log`'s clock. `held`: bytes stayed behind in the server, whose client reads too slowly.
    """

    due_s: float
    before_s: float
    after_s: float
    tokens: int
    held: bool = False

    @property
    def lag_s(self) -> float:
        """How late the kernel had it."""
        return self.after_s - self.due_s


@dataclass
class Served:
    """One request: when its connection was accepted, when it had come and when it was read, and what was answered.

    `prompt` is the beginning of its prompt; `stream` whether it wanted one; `port` the client's.
    """

    prompt: str
    port: int
    max_tokens: int
    stream: bool
    accepted_s: float
    received_s: float
    read_s: float
    ending: Ending
    writes: list[Write] = field(default_factory=list)
    left: bool = False
    """The client closed the connection before the end."""

    @property
    def tokens(self) -> int:
        """Tokens that were handed over."""
        return sum(write.tokens for write in self.writes)

    @property
    def ok(self) -> bool:
        """Whether the client got an answer that ended as it should."""
        return self.ending in ("whole", "short") and not self.left


@dataclass(frozen=True)
class Log:
    """All requests in the order in which they came. Times are of CLOCK_MONOTONIC; `epoch_s` + one is UNIX time."""

    seed: int
    behaviour: dict
    epoch_s: float
    requests: list[Served]
    schema_version: int = SCHEMA_VERSION

    def save(self, path: Path) -> None:
        """Write it in one step. Raises OSError."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> Log:
        """Read a saved log. Raises BenchError when the file is not one."""
        return read_json(cls, path, SCHEMA_VERSION, "a log of the referee's server")


def lags(requests: Sequence[Served]) -> list[float]:
    """How late each chunk was handed over, in seconds."""
    return [write.lag_s for request in requests for write in request.writes]


def first_by_word(requests: Sequence[Served]) -> dict[str, Served]:
    """The first request of each prompt, by its first word: a number, where this suite sends."""
    found: dict[str, Served] = {}
    for request in requests:
        found.setdefault(request.prompt.partition(" ")[0], request)
    return found
