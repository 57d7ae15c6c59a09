"""A process of its own for everything that imports torch: preparing weights, and one engine.

    python -m bench_deepspeed.worker.server <socket>

The parent sends one JSON object a line over the socket, {"call": name, ...arguments}, and gets any number
of {"progress": ...} lines and one {"result": ...} or {"error": ...} back. Between two calls, and while
one is timed, nothing passes over the socket. When the parent is gone, so is this process with all that
it started.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_deepspeed import weights
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Engine, Load
from bench_deepspeed.machine import limits
from bench_deepspeed.machine.probe import NoProbe, Probe
from bench_deepspeed.measure.records import Reading, Sample
from bench_deepspeed.model import catalog

from . import energy, latency


class Worker:
    """The calls that a parent can make. Arguments and results are JSON."""

    def __init__(self, send):
        self._send = send
        self._engine: Engine | None = None
        self._device: str | None = None
        self._session = None

    def progress(self, label: str, done: int, total: int) -> None:
        self._send({"progress": [label, done, total]})

    def prepare(self, models_dir: str, model: str, want: dict) -> dict:
        """Make the weights ready; see `weights.prepare`."""
        prepared = weights.prepare(Path(models_dir), catalog.load(model), weights.Want(**want), self.progress)
        return {**dataclasses.asdict(prepared), "folder": str(prepared.folder)}

    def limits(self, device: str, precision: str) -> dict:
        """What the device can do at most; see `limits.measure`. For a worker without an engine."""
        _require_device(device)
        return dataclasses.asdict(limits.measure(device, precision, self.progress))

    def free_bytes(self, device: str) -> int:
        """Memory of the device that nobody uses. For a worker without an engine."""
        _require_device(device)
        return limits.free_bytes(device)

    def load(self, engine: str, load: dict) -> dict:
        """Load an engine. Returns its seconds, those of building and compiling, and what it says of itself."""
        load = Load(**{**load, "folder": Path(load["folder"]), "log_folder": Path(load["log_folder"])})
        if engine_class(engine).form is not None:
            _require_device(load.device)
        self._engine, self._device = engine_class(engine)(), load.device
        started = time.perf_counter()
        self._engine.load(load, self.progress)
        self._engine.synchronize()
        aside_s = (self._engine.kernel_build_s or 0.0) + (self._engine.compile_s or 0.0)
        load_s = time.perf_counter() - started - aside_s
        self._probe = NoProbe() if self._engine.form is None else Probe(load.device, self._engine.compilations)
        return {
            "load_s": load_s,
            "kernel_build_s": self._engine.kernel_build_s,
            "compile_s": self._engine.compile_s,
            "describe": {"reads_weights": self._engine.reads_weights(), **self._engine.describe()},
        }

    def generate(self, prompt: str, max_tokens: int) -> dict:
        """One timed generation."""
        generation, seconds, reading = self._timed(self._engine.generate, prompt, max_tokens)
        return dataclasses.asdict(Sample(seconds, generation.prompt_tokens, generation.new_tokens, reading))

    def _timed(self, call: Callable, *arguments) -> tuple[Any, float, Reading | None]:
        """Time one call. Between the clock's start and stop stands that call and its completion."""
        engine = self._engine
        self._probe.before()
        engine.synchronize()
        started = engine.clock()
        result = call(*arguments)
        engine.synchronize()
        seconds = engine.clock() - started
        return result, seconds, self._probe.after()

    def batch(self, **asked: int) -> dict:
        """One scenario of a sweep; see `sweep.batches.measure`."""
        from bench_deepspeed.benchmarks.sweep import batches

        return batches.measure(self._engine, self._timed, progress=self.progress, **asked)

    def stream(self, prompt: str, max_tokens: int) -> list[float]:
        """Generate, and return `time.perf_counter()` as each token was there: one clock for a machine's processes."""
        return self._engine.stream(prompt, max_tokens, time.perf_counter)

    def open_target(self, target: str, setup: dict, workload: dict) -> dict:
        """Open what a load test loads, for `load_level`; see `load.session`. Returns what it says of itself."""
        from bench_deepspeed.benchmarks.load.records import Workload
        from bench_deepspeed.benchmarks.load.session import Session
        from bench_deepspeed.benchmarks.load.targets.base import Setup

        setup["log_folder"] = Path(setup["log_folder"])
        self._session = Session(target, Setup(**setup), Workload(**workload), self.progress)
        self._session.warm_up()
        return self._session.describe()

    def load_level(self, clients: int | None, rate: float | None, seconds: float) -> dict:
        """One load, held for a while; see `load.records.Level`."""
        return dataclasses.asdict(self._session.level(clients, rate, seconds))

    def interleaved(self, prompt: str, max_tokens: int) -> dict:
        """Four generations in the order ABBA, in seconds: A by `generate`, B by a bare loop around the library."""

        def harness() -> float:
            return self.generate(prompt, max_tokens)["seconds"]

        def bare() -> float:
            started = time.perf_counter()
            self._engine.library_call(prompt, max_tokens)
            self._engine.synchronize()
            return time.perf_counter() - started

        seconds = [time_one() for time_one in (harness, bare, bare, harness)]
        return {"harness_s": seconds[::3], "bare_s": seconds[1:3]}

    def nested(self, prompt: str, max_tokens: int) -> dict:
        """One generation by `generate`, in seconds, and what the library's call took within it."""
        engine, call, inner_s = self._engine, self._engine.library_call, []

        def timed_call(*arguments):
            started = time.perf_counter()
            result = call(*arguments)
            inner_s.append(time.perf_counter() - started)
            return result

        engine.library_call = timed_call
        try:
            harness_s = [self.generate(prompt, max_tokens)["seconds"]]
        finally:
            del engine.library_call  # the class's own again
        return {"harness_s": harness_s, "bare_s": inner_s}

    def latency(self, prompt: str, max_tokens: int, repetitions: int) -> dict:
        """Times to the first token and after it; see `latency.measure`."""
        asked = {"prompt": prompt, "max_tokens": max_tokens, "repetitions": repetitions}
        measured = latency.measure(self._engine, self.generate, progress=self.progress, **asked)
        return dataclasses.asdict(measured)

    def prefill(self, prompt: str, tokens: int, repetitions: int) -> dict | None:
        """Times of one token after a long prompt; see `latency.prefill`."""
        measured = latency.prefill(self._engine, self.generate, prompt, tokens, repetitions)
        return measured and dataclasses.asdict(measured)

    def memory(self, prompt: str, max_tokens: int) -> dict:
        """One generation that is not timed, and the bytes by part at its peak."""
        self._engine.synchronize()
        self._engine.reset_memory_peak()
        self._engine.generate(prompt, max_tokens)
        self._engine.synchronize()
        return dataclasses.asdict(self._engine.memory())

    def energy(self, prompt: str, max_tokens: int, seconds: float) -> dict | None:
        """What generations draw over at least that many seconds; None where no counter can be read."""
        counter = energy.open_counter(self._device, self._probe.gpu)
        if counter is None:
            return None
        return dataclasses.asdict(energy.measure(self._engine, counter, prompt, max_tokens, seconds))

    def profile(self, prompt: str, max_tokens: int) -> list[dict]:
        """Where the time of a decode step and of a prefill goes; see `profiling`."""
        from . import profiling

        profiles = profiling.profile(self._engine, self.generate, self._device, prompt, max_tokens)
        return [dataclasses.asdict(profile) for profile in profiles]

    def reference(self, load: dict, digest: str, questions: dict) -> dict:
        """Have the float32 answers to the questions, from the cache or computed; see `quality.reference`."""
        import torch
        from transformers import AutoConfig, AutoTokenizer

        from bench_deepspeed.benchmarks.quality import reference
        from bench_deepspeed.benchmarks.quality.questions import QuestionSet

        asked, model = QuestionSet(**questions), Path(load["folder"])
        _require_device(load["device"])
        context_tokens = AutoConfig.from_pretrained(model).max_position_embeddings
        prompts = reference.encode(AutoTokenizer.from_pretrained(model), asked, context_tokens)
        device = torch.cuda.get_device_name() if load["device"] == "cuda" else "cpu"
        folder = reference.folder_of(model, digest, prompts, asked.max_tokens, device)

        def load_engine() -> Engine:
            self.load("transformers", {**load, "prompts": prompts})
            return self._engine

        reference.ensure(folder, prompts, asked.max_tokens, load_engine, self.progress)
        answers = reference.read_answers(folder)
        return {
            "folder": str(folder),
            "longest_ids": [reference.contexts(answer)["late"] for answer in answers],
            "texts": [answer["text"] for answer in answers],
        }

    def assess(self, reference: str, max_tokens: int, keep: str | None, beside: str | None) -> list[dict]:
        """The loaded engine's answers to the questions, and how far each is; see `quality.assess`."""
        from bench_deepspeed.benchmarks.quality.assess import Task, assess

        keep_path, beside_path = (path and Path(path) for path in (keep, beside))
        task = Task(Path(reference), max_tokens, keep_path, beside_path)
        return assess(self._engine, task, self.progress)

    def environment(self, device: str) -> dict:
        """What torch tells of the machine; nothing where what this process has loaded does without torch."""
        from bench_deepspeed.machine.environment import torch_facts

        return torch_facts(device) if "torch" in sys.modules else {}

    def software(self) -> dict:
        """The Python and the packages that this worker runs on."""
        from bench_deepspeed.machine.environment import software

        return software()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
        if self._engine is not None:
            self._engine.close()


def _require_device(device: str) -> None:
    """Refuse CUDA where torch cannot use it, before something fails in words of its own."""
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        build = torch.version.cuda or "none: this torch was built for the CPU"
        raise MachineError(
            f"torch {torch.__version__} cannot use the GPU (its CUDA: {build}): `bench.sh doctor` tells more"
        )


def _end_with_parent(stream, calls: queue.Queue) -> None:
    """Pass the parent's lines on; when it is gone, end this process group."""
    for line in stream:
        calls.put(json.loads(line))
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _describe_failure(error: Exception) -> dict:
    """An exception as the parent shall raise it again; a foreign one keeps its traceback in the log."""
    if isinstance(error, BenchError):
        return {"type": type(error).__name__, "message": str(error)}
    traceback.print_exc()
    lines = str(error).strip().splitlines() or [""]
    return {"type": "BenchError", "message": f"{type(error).__name__}: {lines[0]}", "foreign": True}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    channel = socket.socket(fileno=int(sys.argv[1]))
    stream = channel.makefile("w")

    def send(message: dict) -> None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    calls: queue.Queue = queue.Queue()
    threading.Thread(target=_end_with_parent, args=(channel.makefile("r"), calls), daemon=True).start()
    worker = Worker(send)
    while True:
        message = calls.get()
        name = message.pop("call")
        try:
            reply = {"result": getattr(worker, name)(**message)}
        except Exception as error:
            reply = {"error": _describe_failure(error)}
        sys.stdout.flush()
        send(reply)
        if name == "close":
            # Not sys.exit: libraries with threads of their own have hung in it.
            os._exit(0)


if __name__ == "__main__":
    main()
