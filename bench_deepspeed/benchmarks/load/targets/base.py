"""The contract between the load generator and what it loads.

A target is one class in one file of this folder. Its class attributes are read before anything is installed, so its
module imports the standard library only; all other imports stand inside its methods. It lives in the generator's
process and stands for something that takes requests: a server elsewhere, or a pipeline in this very process. `send`
is called from many threads at a time, one request a thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from bench_deepspeed.benchmarks.load.records import Request
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines.base import Streamed

from .kv_admission import KvAdmission


class RequestError(Exception):
    """One request failed; the target may well answer the next. What ends the target is a BenchError."""


@dataclass(frozen=True)
class Setup:
    """What a target is opened with. `folder` is the model's, None for none; `port` is None for any free one.

    `tokens` are those of the longest request with its answer; the session fills them in.
    """

    engine: str
    folder: Path | None
    device: str
    precision: str
    log_folder: Path
    max_tokens: int
    timeout_s: float
    port: int | None = None
    tokens: int = 0


class Target(ABC):
    name: str
    summary: str
    service: str
    """How it serves, in words that are shown with its numbers."""
    engine: str | None
    """The only engine that it is made of; None: the user chooses."""
    listens: str | None = None
    """What it opens to other machines, what its engine opens included; None: only what its engine opens."""

    engine_threads: frozenset[int] = frozenset()
    """Native ids of threads of the generator's own process that are the engine's: not the generator's CPU time."""

    kv_admission: KvAdmission | None = None
    """What requests wait for where the target would not refuse one too many; None: it looks after itself."""

    @abstractmethod
    def open(self, setup: Setup, progress: Progress) -> None:
        """Start it; afterwards it takes requests. Raises BenchError with what to do."""

    @abstractmethod
    def send(self, request: Request) -> Streamed:
        """Send one request, and time each of its new tokens by `time.perf_counter`, as it was there.

        Raises RequestError, or BenchError where the target is gone.
        """

    def check(self) -> None:
        """Raise BenchError when the target is gone. Called about once a second while requests are under way."""
        return

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far of those of its own processes that may be what holds it back, by what they are."""
        return {}

    def describe(self) -> dict:
        """What a reader of the result should know of how it was set up."""
        return {}

    def close(self) -> None:
        """End it and all that it started."""
        return
