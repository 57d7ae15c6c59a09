"""The contract between the harness and an engine.

An engine is one class in one file of this folder; `core.capabilities` says in which precisions it runs on which device.
Its class attributes describe what else it can do, and are read
without importing torch; all heavy imports are inside its methods. An instance lives in a worker
process of its own.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_deepspeed.core.capabilities import Cell, cell
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.measure.records import EngineDescription, Memory
from bench_deepspeed.model import arithmetic
from bench_deepspeed.model.catalog import ModelSpec

from . import collectives


@dataclass(frozen=True)
class Load:
    """What an engine is given to load: a prepared model folder, and the largest requests that will follow.

    `folder` is None for an engine that reads no weights.
    `prompts` are texts or lists of token ids; the KV cache has room for any one of them and `max_tokens`,
    for any `reserve_tokens` in all, or the model's context where that is shorter, and for any one of
    `batches`: so many sequences of so many tokens each, answers included. With `streaming` an engine that
    streams in a process of its own is loaded for `stream`, and for nothing else. With `concurrent` many requests
    come at a time: the KV cache takes what the engine takes when left to itself.
    """

    folder: Path | None
    device: str
    precision: str
    log_folder: Path
    prompts: Sequence[str | list[int]]
    max_tokens: int
    reserve_tokens: int = 0
    streaming: bool = False
    batches: tuple[tuple[int, int], ...] = ()
    concurrent: bool = False
    tensor_parallel: int = 1
    """Ranks that the model is split over, each in a process of its own; see `Engine.join`."""

    def cell(self, engine: str) -> Cell:
        """By what the engine runs in this precision."""
        return cell(engine, self.device, self.precision)


@dataclass(frozen=True)
class Generation:
    """The answer to one call: text, and the tokens as the engine itself counted them.

    `ids` are the answer's tokens in whatever form the engine has them: they are read once the clock has stopped. None
    for an engine that keeps none.
    """

    text: str
    prompt_tokens: int
    new_tokens: int
    ids: Sequence[int] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Streamed:
    """The clock's time at which each new token was available as text, and the tokens: their ids or their texts."""

    times: list[float]
    tokens: list[int | str]


class Engine(ABC):
    name: str
    """What it runs in is in `core.capabilities`."""
    listens: str | None = None
    """What it opens to other machines while it is loaded, and what to do about it; None: nothing."""
    own_kernels = True
    """False: it runs Transformers' own code, so in the same precision its answers must be bit-identical."""
    form: str | None
    """The form of the weights that it reads (see `weights/`); None: it needs no weights."""

    clock = staticmethod(time.perf_counter)
    """The clock of all timed generations. Only a simulation has another."""
    cell = Cell()
    """By what it runs, once it is loading."""
    kernel_build_s: float | None = None
    compile_s: float | None = None
    """Seconds of loading in which the model itself was compiled; None: it is not."""
    tokenizer: Any = None
    """The model's Transformers tokenizer, once loaded."""
    context_tokens: int | None = None
    """The longest that prompt and answer can be together, once loaded."""

    profiled = True
    """Whether there is work to profile in its generations: False for one that only waits."""
    streams = False
    """Whether it can stream tokens: it implements `stream`."""
    streams_in_own_process = False
    """Whether that takes another process, loaded with `Load.streaming`."""

    @classmethod
    def reads_weights(cls) -> bool:
        """Whether each of its steps reads a model from memory, and so can be no faster than memory is."""
        return cls.form is not None

    @abstractmethod
    def load(self, load: Load, progress: Progress) -> None:
        """Load the model; afterwards `generate` is ready. Raises BenchError with what to do."""

    @abstractmethod
    def library_call(self, prompt: str, max_tokens: int) -> object:
        """Have the library generate, with as little of this suite around it as possible.

        Text in, text out: greedy, exactly `max_tokens` tokens, the end-of-sequence token ignored.
        """

    def generate(self, prompt: str, max_tokens: int) -> Generation:
        """What `library_call` returns, in this suite's terms."""
        return self.library_call(prompt, max_tokens)

    @abstractmethod
    def generate_batch(self, prompts: list[list[int]], max_tokens: int) -> list[Generation]:
        """Token ids of equal length in, text out: all at once, greedy, exactly `max_tokens` tokens each.

        The end-of-sequence token is ignored. It is called only for what `Load.batches` made room for.
        """

    def vocabulary(self) -> list[int]:
        """The token ids that a prompt may contain: all but the special and the added ones."""
        return sorted(set(self.tokenizer.get_vocab().values()) - set(self.tokenizer.added_tokens_decoder))

    @classmethod
    def kv_bytes(cls, spec: ModelSpec, precision: str, sequences: int, tokens: int) -> int:
        """Bytes of KV cache that so many sequences of so many tokens take at least: keys and values of each layer.

        `precision` is that of the products.
        """
        if cls.form is None:
            return 0
        return int(sequences * arithmetic.kv_bytes(spec, precision, tokens))

    def stream(self, prompt: str, max_tokens: int, clock: Callable[[], float]) -> Streamed:
        """Generate as `generate` does, and time each new token."""
        raise UsageError(f"the engine {self.name} does not stream")

    @abstractmethod
    def answer(self, ids: list[int], max_tokens: int) -> list[int]:
        """Greedy answer to a prompt of token ids: up to `max_tokens` ids, the end-of-sequence one last."""

    @abstractmethod
    def logits(self, ids: list[int], answer: list[int]):
        """The logits of each token of `answer` when it follows `ids`, teacher-forced.

        Returns a float32 tensor on the CPU of shape (len(answer), vocabulary).
        """

    def compilations(self) -> int | None:
        """How often it has compiled the model or recorded a graph of it so far; None for one that never does."""
        return None

    def before_ranks(self, load: Load, progress: Progress) -> None:
        """On rank 0, before the other ranks are started: what is to be built once for all of them."""
        return

    def join(self, load: Load) -> None:
        """With several ranks, before `load`, on each: meet the others. Returns when all have."""
        collectives.join(load.device)

    def after_ranks(self) -> None:
        """On rank 0, once all ranks have loaded."""
        return

    def collectives(self) -> str | None:
        """With several ranks: by what they add up their parts; None for an engine that has no parts."""
        return collectives.backend()

    def follow(self, method: str, *arguments: Any) -> None:
        """On another rank than 0: take part in a call of this name on rank 0, whose result this rank does not need."""
        clock = [time.perf_counter] if method == "stream" else []
        getattr(self, method)(*arguments, *clock)

    @abstractmethod
    def synchronize(self) -> None:
        """Return once the device has finished all work."""

    @abstractmethod
    def reset_memory_peak(self) -> None:
        """Start new peaks, and record the use of the KV cache until `memory` is called, after one generation."""

    @abstractmethod
    def memory(self) -> Memory:
        """Bytes by part since the peaks were reset."""

    def describe(self) -> EngineDescription:
        """What a reader of the result should know of how this engine was set up."""
        packing = self.cell.packing and self.cell.packing.words
        runs = {"path": self.cell.path, "compute": self.cell.compute, "packing": packing}
        return EngineDescription(self.name, self.reads_weights(), **runs)

    def close(self) -> None:
        """Give everything back. The process ends right after, so most engines have nothing to do."""
        return


def longest_prompt(tokenizer, load: Load, context_tokens: int) -> int:
    """Tokens of the longest prompt.

    Raises UsageError when that, with its answer, is longer than the model's context, and where one has no token.
    """
    counts = [len(tokenizer(p).input_ids) if isinstance(p, str) else len(p) for p in load.prompts]
    if 0 in counts:
        raise UsageError("the model's tokenizer finds no token in the prompt: give another, or check the tokenizer")
    prompt_tokens, max_tokens = max(counts, default=0), load.max_tokens
    if prompt_tokens + max_tokens > context_tokens:
        raise UsageError(
            f"the prompt has {prompt_tokens} tokens and {max_tokens} are to follow, but the model's context "
            f"is {context_tokens}: shorten the prompt or lower --max_tokens"
        )
    return prompt_tokens
