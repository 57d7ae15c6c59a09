"""Transformers tuned for speed: a static KV cache, and each decode step compiled.

`generate` compiles the forward pass of its decode steps by itself where the cache's size is fixed (Transformers,
"Optimizing inference"): with inductor's mode "reduce-overhead", which on CUDA records it as a CUDA graph and replays
that. Prefill runs as it is, since each length of a prompt would be compiled separately.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.measure.records import EngineDescription, Memory
from bench_deepspeed.model import arithmetic
from bench_deepspeed.model.catalog import ModelSpec

from .base import Load, longest_prompt
from .memory import measure, reset_peaks
from .transformers import TransformersEngine, kv_cache_bytes

COMPILE_STEPS = 3
"""Steps of a compiled function: the first compiles it, the second records the CUDA graph, the third replays it."""
LABEL = "compiling the decode step"


class TransformersCompiledEngine(TransformersEngine):
    """There is one KV cache at a time, and each generation reuses it, so that its address never changes.

    Its length follows from `Load`: the longest prompt with its answer, or each of `Load.batches` exactly, because a
    step reads all of it, however little is filled.
    """

    name = "transformers_compiled"
    own_kernels = True  # inductor's

    def load(self, load: Load, progress: Progress) -> None:
        super().load(load, progress)
        from transformers import CompileConfig

        # One graph or an error: uncompiled code between two graphs would be slow without a warning.
        config = CompileConfig(fullgraph=True, dynamic=False)
        config._compile_all_devices = True  # on the CPU too, where `generate` would not by itself
        self.model.generation_config.compile_config = config
        longest = longest_prompt(self.tokenizer, load, self.context_tokens) + load.max_tokens
        self._shapes = sorted({(sequences, tokens) for sequences, tokens in load.batches}) or [(1, longest)]
        self._shape, self._cache = None, None
        if load.max_tokens > 1:  # else nothing is ever decoded
            self.compile_s = self._compile(progress)

    def _compile(self, progress: Progress) -> float:
        """Compile the decode step of each shape. Returns the seconds that this took.

        Those are the seconds of the first generations, which compile and record, less the seconds of as many like
        them right after. A generation of one token goes before, so that what any first forward pass sets up is
        not counted. Raises MachineError where nothing can be compiled.
        """
        import torch

        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, len(self._shapes))
        seconds = 0.0
        try:
            for done, (sequences, tokens) in enumerate(self._shapes):
                progress(LABEL, done, len(self._shapes))
                new_tokens = min(1 + COMPILE_STEPS, tokens - 1)
                if new_tokens > 1:
                    self._seconds(sequences, 1, 1)
                    times = -(-COMPILE_STEPS // (new_tokens - 1))
                    first = self._seconds(sequences, new_tokens, times)
                    seconds += max(0.0, first - self._seconds(sequences, new_tokens, times))
        except torch._dynamo.exc.TorchDynamoException as error:
            raise MachineError(
                f"torch.compile failed: {_reason(error)}; it needs a C++ compiler and Python's headers, on "
                "CUDA triton too (see `bench.sh doctor`), or use --engine transformers"
            ) from error
        progress(LABEL, len(self._shapes), len(self._shapes))
        if not self.compilations():
            raise MachineError("torch.compile compiled nothing: unset TORCHDYNAMO_DISABLE and TORCH_COMPILE_DISABLE")
        return seconds

    def _seconds(self, sequences: int, new_tokens: int, times: int) -> float:
        started = time.perf_counter()
        for _ in range(times):
            self._generate([[0]] * sequences, new_tokens, eos=None)
        self.synchronize()
        return time.perf_counter() - started

    def compilations(self) -> int:
        from torch._dynamo.utils import counters

        return counters["stats"]["unique_graphs"] + _recorded()

    def _generate(self, rows: list[list[int]], max_tokens: int, eos: int | None, **settings):
        cache = self._cache_for(len(rows), len(rows[0]), max_tokens)
        return super()._generate(rows, max_tokens, eos, past_key_values=cache, **settings)

    def _cache_for(self, sequences: int, prompt_tokens: int, max_tokens: int):
        """An empty cache with room for the generation: the current one, where it fits.

        A generation with decode steps takes the shape that was compiled for it. One of a single token has none,
        so any room will do, and where there is none it gets a cache of its own, which is not kept.
        """
        import torch

        needed = prompt_tokens + max_tokens

        def holds(shape: tuple[int, int]) -> bool:
            return shape[0] == sequences and shape[1] >= needed

        if max_tokens == 1 and self._shape is not None:
            if not holds(self._shape):
                return self._new_cache(needed)
            shape = self._shape
        else:
            shape = min(filter(holds, self._shapes), default=(sequences, needed))
        if shape != self._shape:
            self._cache = None  # the old one's memory first
            self._shape, self._cache = shape, self._new_cache(shape[1])
        with torch.inference_mode():  # in which its tensors were made
            self._cache.reset()
        return self._cache

    def _new_cache(self, tokens: int):
        """Keys and values of the whole length in each layer. A sliding window is left to the attention mask.

        Transformers' own cache of a sliding window counts its tokens in a Python number, which is another graph at
        each step.
        """
        from transformers.cache_utils import Cache, StaticLayer

        return Cache(layers=[StaticLayer(max_cache_len=tokens) for _ in range(self.model.config.num_hidden_layers)])

    @classmethod
    def kv_bytes(cls, spec: ModelSpec, precision: str, sequences: int, tokens: int) -> int:
        """The whole length, with a sliding window too."""
        return math.ceil(sequences * tokens * arithmetic.kv_bytes(spec, precision, 1))

    def logits(self, ids: list[int], answer: list[int]):
        import torch

        tokens = len(ids) + len(answer)
        if not any(sequences == 1 and room >= tokens for sequences, room in self._shapes):
            return super().logits(ids, answer)  # a sweep's other batches: no step was compiled for one sequence
        # Through the decode steps that are compiled: each step is made to choose the answer's token.
        output = self._generate(
            [ids],
            len(answer),
            eos=None,
            output_logits=True,
            return_dict_in_generate=True,
            prefix_allowed_tokens_fn=lambda _row, seen: [answer[len(seen) - len(ids)]],
        )
        return torch.cat(output.logits).float().cpu().contiguous()

    def reset_memory_peak(self) -> None:
        reset_peaks(self._on_gpu)

    def memory(self) -> Memory:
        _, tokens = self._shape
        pool = kv_cache_bytes(self._cache)
        used = pool * int(self._cache.get_seq_length()) // tokens
        return measure(self._weights_bytes(), pool, used, self._on_gpu)

    def describe(self) -> EngineDescription:
        from torch._dynamo.utils import counters

        hits = counters["inductor"]["fxgraph_cache_hit"] + counters["aot_autograd"]["autograd_cache_hit"]
        return replace(
            super().describe(),
            static_caches=[list(shape) for shape in self._shapes],
            compiler_cache="warm" if hits else "cold",
            cuda_graphs=_recorded(),
        )


def _recorded() -> int:
    """How many CUDA graphs this process has recorded."""
    from torch._dynamo.utils import compilation_time_metrics

    return len(compilation_time_metrics.get("CUDAGraphNode.record", []))


def _reason(error: Exception) -> str:
    """The first line of a compiler's output that is an error, else the first line of all."""
    lines = str(error).strip().splitlines()
    return next((line.strip() for line in lines if re.search(r"\berror:", line)), lines[0])[:300]
