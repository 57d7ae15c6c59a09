"""Several ranks that compute together: rank 0 is the worker that is timed, and starts and leads the others.

Each other rank is a process whose parent is rank 0. A thread for each waits for its answers, and for its end: when one
ends or fails before it is closed, rank 0 reports that to its parent and ends, and all ranks with it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.core.ports import free_port
from bench_deepspeed.engines.base import Engine, Load
from bench_deepspeed.machine.environment import allowed_cpus
from bench_deepspeed.measure.records import Memory

from . import following, messages
from .process import Pending, Process, Rank
from .state import Worker, close

P = ParamSpec("P")
R = TypeVar("R")

JOIN_S = 120
"""Seconds within which all ranks must have started and met: importing torch from a cold disk takes half a minute."""
MIRRORED = frozenset({"generate", "stream", "answer", "logits", "reset_memory_peak"})
"""Methods of an engine that the other ranks run at the same time with the same arguments."""
Fail = Callable[[BenchError], None]


def variables(rank: Rank, port: int) -> dict[str, str]:
    """What a launcher would set for a rank on this machine; they must stand before torch and MII are imported.

    On a CPU the ranks share the cores: each gets its part of the threads, unless OMP_NUM_THREADS is set already.
    """
    number, size = str(rank.number), str(rank.size)
    loopback = {"GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo")} if sys.platform == "linux" else {}
    return {
        **dict.fromkeys(("RANK", "LOCAL_RANK"), number),
        **dict.fromkeys(("WORLD_SIZE", "LOCAL_SIZE", "LOCAL_WORLD_SIZE"), size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, len(allowed_cpus()) // rank.size))),
        **loopback,
    }


class Follower:
    """A rank other than 0, from the side of rank 0. `fail` is called once when it ends or fails before it is closed."""

    def __init__(self, rank: Rank, log: Path, variables: dict[str, str], fail: Fail):
        self.rank, self._fail, self._closed = rank, fail, False
        self._process = Process(log, lambda *_: None, **variables)
        self._process.rank = rank
        self._process.__enter__()
        self._waiting: deque[Future[Any]] = deque()
        threading.Thread(target=self._watch, daemon=True).start()

    def send(self, function: Callable[Concatenate[Worker, P], R], *args: P.args, **kwargs: P.kwargs) -> Pending[R]:
        """Have it call a function of this package after those that were sent before."""
        answer: Future[Any] = Future()
        self._waiting.append(answer)
        self._process.send(function, *args, **kwargs)
        return Pending(lambda: messages.decode_result(function, answer.result()))

    def close(self) -> None:
        """Have it close its engine and end. Does not wait: who ends rank 0 ends all below it."""
        self._closed = True
        self.send(close)

    def _watch(self) -> None:
        try:
            while True:
                answer = self._process.receive()
                self._waiting.popleft().set_result(answer)
        except BenchError as error:
            if not self._closed:
                text = str(error)
                self._fail(type(error)(text if text.startswith(str(self.rank)) else f"{self.rank}: {text}"))


class Ranks:
    """The ranks 1 to `size` − 1, from the side of rank 0."""

    def __init__(self, size: int, port: int, log_folder: Path, fail: Fail):
        self._fail = fail
        others = [Rank(number, size) for number in range(1, size)]
        self._followers = [
            Follower(rank, log_folder / f"worker-rank{rank.number}.log", variables(rank, port), fail) for rank in others
        ]

    def load(self, engine: str, settings: Load) -> None:
        """Have them load an engine, joined by rank 0; `lead` waits for the end of it."""
        self._loads = self.send(following.load, engine, settings)

    def lead(self, engine: Engine) -> Engine:
        """Rank 0's engine, whose calls all ranks run, once all have loaded theirs."""
        for load in self._loads:
            load.result()
        engine.after_ranks()
        return cast(Engine, LeadingEngine(engine, self))

    @contextlib.contextmanager
    def joining(self, limit_s: float) -> Iterator[None]:
        """The block returns when all ranks have met; where it has not after `limit_s` seconds, all of them end."""
        missing = [str(follower.rank) for follower in self._followers]

        def give_up() -> None:
            who = next(iter(missing), "one of the ranks")
            self._fail(
                MachineError(f"{who} has not joined the others within {limit_s:g} s: end other work and try again")
            )

        timer = threading.Timer(limit_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            for answer in self.send(following.ready):
                answer.result()
                del missing[0]
            yield
        finally:
            timer.cancel()

    def send(
        self, function: Callable[Concatenate[Worker, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> list[Pending[R]]:
        """Have all of them call a function."""
        return [follower.send(function, *args, **kwargs) for follower in self._followers]

    def close(self) -> None:
        for follower in self._followers:
            follower.close()


def start(worker: Worker, engine: Engine, name: str, settings: Load) -> Ranks:
    """Start the other ranks of an engine that is not loaded yet, and meet them; they load it from then on."""
    size, port = settings.tensor_parallel, free_port()
    os.environ.update(variables(Rank(0, size), port))  # before anything imports torch, which reads them
    engine.before_ranks(settings, worker.progress)
    others = Ranks(size, port, settings.log_folder, worker.fail)
    worker.keep(others)
    with others.joining(JOIN_S):
        others.load(name, settings)
        engine.join(settings)
    return others


class LeadingEngine:
    """Rank 0's engine: it behaves as the engine itself, and has the other ranks run the same calls.

    What they need to know of a call is sent within its time, as it must be where several ranks serve; a batch's prompts
    alone were sent before. After a call that failed on rank 0 the others wait for it in vain, so nothing is called
    again.
    """

    def __init__(self, engine: Engine, ranks: Ranks):
        self._engine, self._ranks = engine, ranks
        self._held: list[list[int]] | None = None
        self._out_of_step = False

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._engine, name)
        return partial(self._mirrored, name, own) if name in MIRRORED else own

    def generate_batch(self, prompts: list[list[int]], max_tokens: int) -> Any:
        if prompts is not self._held:  # to compare them would take time, too
            self._ranks.send(following.hold, prompts)
            self._held = prompts
        with self._in_step():
            self._ranks.send(following.generate_batch, max_tokens)
            return self._engine.generate_batch(prompts, max_tokens)

    def memory(self) -> Memory:
        """The memory of all ranks, and of each."""
        with self._in_step():
            others = self._ranks.send(following.memory)
            return Memory.of_ranks([self._engine.memory(), *(answer.result() for answer in others)])

    def _mirrored(self, name: str, own: Callable[..., Any], *arguments: Any) -> Any:
        with self._in_step():
            self._ranks.send(following.follow, name, [one for one in arguments if not callable(one)])
            return own(*arguments)

    @contextlib.contextmanager
    def _in_step(self) -> Iterator[None]:
        if self._out_of_step:
            raise BenchError("the ranks are out of step since a call failed: start the process again")
        self._out_of_step = True
        yield
        self._out_of_step = False
