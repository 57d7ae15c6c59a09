"""What the calls of one worker share: the loaded engine, what times it, and what is to be closed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, ParamSpec, Protocol, TypeVar

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines.base import Engine
from bench_deepspeed.machine.probe import NoProbe, Probe
from bench_deepspeed.measure.records import Reading

from .answered import Answered

P = ParamSpec("P")
R = TypeVar("R")


class Closable(Protocol):
    def close(self) -> None: ...


Kept = TypeVar("Kept", bound=Closable)


@dataclass(frozen=True)
class Timed(Generic[R]):
    """What a timed call returned, its seconds, the machine right after it, and the host's speed before and after."""

    result: R
    seconds: float
    reading: Reading | None
    host_s: list[float] | None


@dataclass(frozen=True)
class LoadedEngine:
    """An engine, the device that it runs on, and what looks at the machine around its generations."""

    engine: Engine
    device: str
    probe: Probe | NoProbe


class Worker:
    """The state of one worker process."""

    def __init__(self, progress: Progress, fail: Callable[[BenchError], None] = lambda _error: None):
        self.progress = progress
        self.fail = fail
        """Report an error to the parent at once, whatever this process waits for, and end it."""
        self.closed = False
        self.answers: list[Answered] = []
        """What the timed generations answered, in their order."""
        self.held_prompts: list[list[int]] = []
        """Of a rank that follows: the prompts of the batches to come."""
        self._loaded: LoadedEngine | None = None
        self._kept: list[Closable] = []
        self._open = contextlib.ExitStack()

    def keep(self, resource: Closable) -> None:
        """Keep what later calls need open until the worker closes; what was kept last is closed first."""
        self._kept.append(resource)
        self._open.callback(resource.close)

    def kept(self, kind: type[Kept]) -> Kept:
        """What was kept last of that class. Raises BenchError where there is none."""
        for resource in reversed(self._kept):
            if isinstance(resource, kind):
                return resource
        raise BenchError(f"this process has opened no {kind.__name__}")

    def use(self, loaded: LoadedEngine) -> None:
        """Have this engine for the calls that follow."""
        self._loaded = loaded

    @property
    def loaded(self) -> LoadedEngine:
        """The engine that is in use. Raises BenchError where none has been loaded."""
        if self._loaded is None:
            raise BenchError("this process has loaded no engine")
        return self._loaded

    @property
    def engine(self) -> Engine:
        return self.loaded.engine

    def timed(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Timed[R]:
        """Time one call of the engine. Between the clock's start and stop is only that call and its completion."""
        engine, probe = self.loaded.engine, self.loaded.probe
        probe.before()
        host_before = probe.host_s()
        engine.synchronize()
        started = engine.clock()
        result = call(*args, **kwargs)
        engine.synchronize()
        seconds = engine.clock() - started
        reading, host_after = probe.after(), probe.host_s()
        host_s = None if host_before is None or host_after is None else [host_before, host_after]
        return Timed(result, seconds, reading, host_s)

    def close(self) -> None:
        """Close all that was kept. There are no calls after this one."""
        self.closed = True
        self._open.close()


def close(worker: Worker) -> None:
    """Close what is open; the process ends after this call."""
    worker.close()
