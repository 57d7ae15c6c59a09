"""The generator's process: a target that is open, and one level after the other against it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from bench_deepspeed.benchmarks.load.targets import target_class
from bench_deepspeed.benchmarks.load.targets.base import LoopTarget, RequestError, Setup
from bench_deepspeed.benchmarks.load.targets.kv_admission import NoKvSpaceError
from bench_deepspeed.core import collector
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Streamed
from bench_deepspeed.machine.gpu import NvmlGpu
from bench_deepspeed.measure.records import EnergyPart
from bench_deepspeed.worker.energy import Counter, open_counter
from bench_deepspeed.worker.state import Worker

from . import latency, level_statistics
from .arrivals import arrivals, open_loop
from .audit import Answer, check_level
from .generator import Generator, InFlightRequest, Plan, Window
from .prompts import Tokens, Words, endless, fitting, repeated_share, requests, tokenizer_of
from .records import Level, LevelCheck, Request, Workload

WARM_UPS = 3
MOST_CONTEXT = 2**20
"""Tokens; a tokenizer whose model's context is not known has a limit without bound."""


class Session:
    """One target, opened and warmed up, and the requests that every level sends."""

    def __init__(self, target: str, setup: Setup, workload: Workload, progress: Progress):
        self._source = _source(setup.folder, workload.seed)
        different = requests(workload, self._source)
        self._requests, self._workload, self._too_long = fitting(different, workload, self._source.context_tokens)
        self._levels = 0
        self.alone_s: float | None = None
        self._target = target_class(target)()
        longest = max(request.prompt_tokens + request.max_tokens for request in self._requests)
        longest_answer = max(request.max_tokens for request in self._requests)
        self._target.open(dataclasses.replace(setup, tokens=longest, max_tokens=longest_answer), progress)
        self._counter = _counter(setup)

    def warm_up(self) -> None:
        """One request after the other, as long as those of the levels; `alone_s` is then the time that the last took.

        Their texts come in no level, not even where those are of a file: a prefix cache would know them. Raises
        BenchError when one fails: the others would as well.
        """
        unlimited = endless(self._requests, self._source, 0, self._workload.shared_prefix)
        for request in itertools.islice(unlimited, min(WARM_UPS, len(self._requests))):
            started = time.perf_counter()
            try:
                came = len(self._send(request).times)
            except RequestError as error:
                raise BenchError(f"the first requests failed: {error}") from error
            if self._target.exact_lengths and came != request.max_tokens:
                raise BenchError(f"the first requests: {came} tokens came, {request.max_tokens} were requested")
            self.alone_s = round(time.perf_counter() - started, 6)

    def _send(self, request: Request) -> Streamed:
        admission, timeout_s = self._target.kv_admission, self._workload.timeout_s
        try:
            tokens = request.prompt_tokens + request.max_tokens
            with admission.reserve(tokens, timeout_s) if admission else contextlib.nullcontext():
                return self._target.send(request)
        except NoKvSpaceError as error:
            raise RequestError("no room in the KV cache") from error

    def _check(self, flights: list[InFlightRequest], window: Window) -> LevelCheck | None:
        """Compare some answers with those that the same requests get alone. None where a request failed.

        The target is then started again, or is not sound enough to be asked. None as well for one that gives the same
        request another answer each time.
        """
        answers = {
            place: flight.streamed.tokens
            for place, flight in enumerate(flights)
            if flight.streamed and window.holds(flight.request.due_s)
        }

        def alone(place: int) -> Answer:
            return self._send(flights[place].request).tokens

        with contextlib.suppress(RequestError):
            if self._target.repeats and all(flight.error is None for flight in flights):
                return check_level(answers, alone)
        return None

    def level(self, clients: int | None, rate: float | None, seconds: float, requests: int = 0) -> Level:
        """Hold one load, clients, requests a second, or the trace, for a window of so many seconds and requests.

        Both are the least that it has.
        """
        plan = Plan(seconds, requests, rate, self._workload.burstiness, self._workload.ramp_s if rate else 0.0)
        window, source = self._window(clients, plan)
        generator = self._generator(source, window, clients)
        server_cpu_s = self._target.cpu_s()
        admission = self._target.kv_admission
        waited = admission and admission.waited
        with self._collector():
            joules, cpu_s, started = self._joules(), self._cpu_s(), time.perf_counter()
            flights = generator.run()
            seconds = time.perf_counter() - started
            own_cpu_s = self._cpu_s() - cpu_s
            energy = self._energy(joules, seconds)
        window = generator.window
        server_cpu = {name: round((s - server_cpu_s[name]) / seconds, 4) for name, s in self._target.cpu_s().items()}
        for flight in flights:
            flight.count = self._target.counted(flight.request, flight.streamed)
        return Level(
            clients=clients,
            rate=rate,
            window_s=(round(window.start_s, 6), round(window.end_s, 6)),
            tokens_in_window=level_statistics.tokens_in(flights, window),
            itl_s={},
            generator_cpu_share=round(own_cpu_s / seconds, 4),
            most_in_flight=generator.most_in_flight,
            waited_for_kv=admission and admission.waited - waited,
            server_cpu_share=server_cpu,
            records=[latency.record(flight) for flight in flights],
            settled=generator.settled,
            token_chunks=_token_chunks(flights),
            check=self._check(flights, window),
            energy=energy and dataclasses.replace(energy, new_tokens=sum(flight.new_tokens for flight in flights)),
        )

    def _joules(self) -> float | None:
        """What the device's counter shows; None where there is none, or where it cannot be read any more."""
        with contextlib.suppress(BenchError):
            return self._counter.joules() if self._counter else None
        return None

    def _energy(self, before: float | None, seconds: float) -> EnergyPart | None:
        """Of a whole level, what goes before and after its window included; its tokens are counted later."""
        now = self._joules()
        return None if before is None or now is None else EnergyPart(round(now - before, 3), round(seconds, 6), 0)

    def _collector(self) -> contextlib.AbstractContextManager[None]:
        """What holds the garbage collector while requests are timed: an engine in this process keeps its own."""
        return contextlib.nullcontext() if self._target.engine_threads else collector.paused()

    def _generator(self, source: Iterator[Request], window: Window | Plan, clients: int | None) -> Generator:
        target = self._target
        return Generator(
            target.stream if isinstance(target, LoopTarget) else self._send,
            source,
            window,
            timeout_s=self._workload.timeout_s,
            clients=clients,
            check=target.check,
            loop=target.loop if isinstance(target, LoopTarget) else None,
            exact_lengths=target.exact_lengths,
        )

    def _window(self, clients: int | None, plan: Plan) -> tuple[Window | Plan, Iterator[Request]]:
        workload = self._workload
        self._levels += 1
        as_they_are = workload.prompts or workload.trace_blocks
        source = None if as_they_are else self._source
        unlimited = endless(self._requests, source, self._levels, workload.shared_prefix)
        if clients is not None:
            return plan, unlimited
        if plan.rate is not None:
            times = arrivals(plan.rate, workload.seed, self._levels, plan.burstiness, plan.ramp_s)
            return plan, open_loop(unlimited, times)
        due = [arrival for arrival, _, _ in workload.trace]
        return Window.of_trace(due[-1]), open_loop(unlimited, due)

    def _cpu_s(self) -> float:
        """CPU seconds of this process, without those of the engine's own threads."""
        engine = self._target.engine_threads
        threads = psutil.Process().threads() if engine else []
        return time.process_time() - sum(t.user_time + t.system_time for t in threads if t.id in engine)

    def describe(self) -> dict[str, Any]:
        shared = repeated_share(self._workload.trace_blocks)
        own = {"alone_s": self.alone_s, "too_long": self._too_long, "trace_blocks_shared": shared}
        return self._target.describe() | own

    def close(self) -> None:
        self._target.close()


def open_target(worker: Worker, target: str, setup: Setup, workload: Workload) -> dict[str, Any]:
    """Open what a load test loads, for `hold_level`, in the worker. Returns the target's description."""
    session = Session(target, setup, workload, worker.progress)
    worker.keep(session)
    session.warm_up()
    return session.describe()


def hold_level(worker: Worker, clients: int | None, rate: float | None, seconds: float, requests: int) -> Level:
    """One load, held for a while by the worker that has opened the target; see `Session.level`."""
    return worker.kept(Session).level(clients, rate, seconds, requests)


def _token_chunks(flights: list[InFlightRequest]) -> bool | None:
    """Whether each chunk was one token, as far as counts can say; see `Level.token_chunks`."""
    counted = [flight for flight in flights if flight.error is None and flight.count and flight.count.by]
    return all(flight.new_tokens == len(flight.times) for flight in counted) if counted else None


def _counter(setup: Setup) -> Counter | None:
    """The energy counter of the target's GPUs; None for a server elsewhere, and for a target that computes nothing.

    None on a CPU as well: its counter wraps around within minutes, and a level may take longer.
    """
    if setup.server is not None or setup.device != "cuda" or engine_class(setup.engine).form is None:
        return None
    return open_counter(setup.device, [NvmlGpu.of_torch(rank) for rank in range(setup.tensor_parallel)])


def _source(folder: Path | None, seed: int) -> Words:
    """Where texts of a given length come from: the model's tokenizer, or none."""
    if folder is None:
        return Words()
    from transformers import AutoConfig

    tokenizer = tokenizer_of(folder)
    known = (folder / "config.json").exists()  # a folder may hold a tokenizer alone
    context_tokens = AutoConfig.from_pretrained(folder).max_position_embeddings if known else tokenizer.model_max_length
    return Tokens(tokenizer, min(context_tokens, MOST_CONTEXT), seed)
