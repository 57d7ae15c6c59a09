"""The contract between the load generator and what it loads.

A target is one class in one file of this folder. Its class attributes are read before anything is installed, so its
module imports the standard library only; all other imports stand inside its methods. It lives in the generator's
process and stands for something that takes requests: a server elsewhere, or a pipeline in this very process. `send`
is called from many threads at a time, one request a thread; a `LoopTarget` has a task of one event loop for each.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_deepspeed.benchmarks.load.records import Request, TokenCount
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines.base import Streamed

from .kv_admission import KvAdmission


class RequestError(Exception):
    """One request failed; the target may well answer the next. What ends the target is a BenchError."""


@dataclass(frozen=True)
class Server:
    """A server that somebody else has started. `key_variable` is the environment variable with its key, None for none.

    `url` is that of the API, with its version and without credentials; `model` is None for the first that it lists.
    """

    url: str
    api: str
    key_variable: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Setup:
    """What a target is opened with. `folder` is the model's, None for none; `port` is None for any free one.

    `max_tokens` are those of the longest answer, `tokens` those of the longest request with its answer; the session
    knows both, and fills them in. `server` is for a target that starts none itself; `folder` then holds its tokenizer.
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
    server: Server | None = None
    tensor_parallel: int = 1


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

    exact_lengths = True
    """Whether an answer of another number of tokens than requested is a failure."""

    sound_after_failure = False
    """Whether it goes on as before when a request failed; False: it is started again."""

    repeats = True
    """Whether the same request alone gets the same answer each time, as greedy decoding gives."""

    splits = False
    """Whether it can split the model over several ranks."""

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

    def counted(self, request: Request, streamed: Streamed | None) -> TokenCount:
        """The tokens of an answer, None where there is none; called when nothing is being timed."""
        return TokenCount(len(streamed.times) if streamed else 0, request.prompt_tokens)

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


class LoopTarget(Target):
    """A target whose requests are tasks of one event loop, which runs in a thread of its own."""

    loop: asyncio.AbstractEventLoop

    def start_loop(self) -> None:
        """Start the event loop; called by `open` before anything runs on it.

        uvloop's: it takes less CPU time than asyncio's own.
        """
        import uvloop

        self.loop = uvloop.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop, from another thread. Returns its result, or raises as it does."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    @abstractmethod
    async def stream(self, request: Request) -> Streamed:
        """As `send`."""

    def send(self, request: Request) -> Streamed:
        return self.run(self.stream(request))
