"""DeepSpeed-MII's pipeline, the engine that this suite is for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.ports import MII_LISTENS, free_port
from bench_deepspeed.core.precision import PRECISIONS
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.measure.records import EngineDescription, Memory
from bench_deepspeed.model.arithmetic import kv_repeats
from bench_deepspeed.model.catalog import ModelSpec

from . import collectives, kernels
from .base import Engine, Generation, Load, Streamed, longest_prompt
from .memory import measure, reset_peaks

MINIMUM_CAPABILITY = (8, 0)
# DeepSpeed 0.19.8's own limits, raised only where a batch needs it: sequences known and sequences in one forward
# pass, and tokens in it.
BATCH_LIMITS = {"max_tracked_sequences": 2048, "max_ragged_sequence_count": 512, "max_ragged_batch_size": 768}


class MiiEngine(Engine):
    name = "mii"
    listens = MII_LISTENS
    form = "mii"
    streams = True
    streams_in_own_process = True

    def load(self, load: Load, progress: Progress) -> None:
        import torch
        from transformers import AutoConfig, AutoTokenizer

        capability = torch.cuda.get_device_capability()
        if capability < MINIMUM_CAPABILITY:
            raise MachineError(
                "MII needs a GPU of compute capability 8.0 or more, this one has {}.{}: "
                "use --engine transformers".format(*capability)
            )
        self.cell = load.cell(self.name)
        tokenizer = AutoTokenizer.from_pretrained(load.folder)
        tokenizer.pad_token = tokenizer.eos_token
        config = AutoConfig.from_pretrained(load.folder)
        self.context_tokens, self._block_tokens = config.max_position_embeddings, block_tokens(config.head_dim)
        tokens = longest_prompt(tokenizer, load, self.context_tokens) + load.max_tokens
        tokens = max(tokens, min(load.reserve_tokens, self.context_tokens))
        self.kernel_build_s = kernels.build(capability, load.log_folder, progress)
        wanted = [(1, tokens), *load.batches]
        self._blocks = max(kv_blocks(length, config.head_dim, sequences) for sequences, length in wanted)
        self._sequences = max(sequences for sequences, _ in wanted)
        self._streaming = load.streaming
        self._zmq_port = free_port() if load.tensor_parallel == 1 else collectives.agreed(free_port())
        # Streaming is a pipeline of its own with threads, which is not used with several ranks.
        self.streams = load.tensor_parallel == 1
        self.pipeline = self._open_pipeline(load, tokenizer)

    def _open_pipeline(self, load: Load, tokenizer):
        import mii

        from .mii_tokenizer import TokenizerForMii

        self.tokenizer = tokenizer
        self._tokenizer = TokenizerForMii(tokenizer)
        # By default MII takes all free memory but 1 GB for the KV cache; and its ports are fixed ones.
        state = {} if load.concurrent else state_manager(self._blocks, self._sequences)
        settings = {
            "model_name_or_path": str(load.folder),
            "tokenizer": self._tokenizer,  # a path would be read with trust_remote_code
            "torch_dist_port": free_port(),
            "zmq_port_number": self._zmq_port,
            "inference_engine_config": {"state_manager": state},
        }
        if load.precision == "fp6":
            settings["quantization_mode"] = "wf6af16"
        if not load.streaming:
            return mii.pipeline(**settings)
        pipeline = mii.api.async_pipeline(mii.config.ModelConfig(**settings))
        self._blocks = min(pipeline.inference_engine.free_blocks)
        threading.excepthook = _end_process  # a caller that waits for a token of a dead thread would wait for ever
        pipeline.start()
        return pipeline

    def generate(self, prompt: str, max_tokens: int) -> Generation:
        self._tokenizer.forget()
        (response,) = self.library_call(prompt, max_tokens)
        counts = response.prompt_length, response.generated_length
        return Generation(response.generated_text, *counts, self._tokenizer.decoded)

    def follow(self, method: str, *arguments) -> None:
        if method in ("generate", "generate_batch", "answer"):
            self.pipeline([])  # rank 0 sends the tokens of each step, until all are done
        else:
            super().follow(method, *arguments)

    def library_call(self, prompt: str | list[list[int]], max_tokens: int) -> list:
        return self.pipeline(prompt, max_new_tokens=max_tokens, do_sample=False, ignore_eos=True)

    def generate_batch(self, prompts: list[list[int]], max_tokens: int) -> list[Generation]:
        self._tokenizer.forget()
        responses = self.library_call(prompts, max_tokens)
        ids = [self._tokenizer.ids_of(response.generated_text) for response in responses]
        answers = zip(responses, ids, strict=True)
        return [Generation(r.generated_text, r.prompt_length, r.generated_length, own) for r, own in answers]

    @classmethod
    def kv_bytes(cls, spec: ModelSpec, precision: str, sequences: int, tokens: int) -> int:
        """Whole blocks, with the KV heads as the conversion repeats them, and no sliding window to free any."""
        s = spec.shape
        repeats = kv_repeats(s["num_attention_heads"], s["num_key_value_heads"])
        heads, size = repeats * s["num_key_value_heads"], s["head_dim"]
        values = 2 * s["num_hidden_layers"] * heads * size * block_tokens(size)
        return PRECISIONS[precision].value_bytes * values * kv_blocks(tokens, size, sequences)

    def stream(self, prompt: str, max_tokens: int, clock: Callable[[], float]) -> Streamed:
        from mii.constants import GenerationFinishReason

        # The pipeline runs in a thread of its own, and hands each token over to this one through a queue.
        settings = {"stream": True, "max_new_tokens": max_tokens, "do_sample": False, "ignore_eos": True}
        uid = self.pipeline.put_request(prompt, settings)
        streamed = Streamed([], [])
        while (response := self.pipeline.get_response()[1]).finish_reason == GenerationFinishReason.NONE:
            streamed.times.append(clock())
            streamed.tokens.append(response.generated_text)
        self.pipeline.flush_uid(uid)  # the message with a finish reason came after the last token, and is empty
        return streamed

    def answer(self, ids: list[int], max_tokens: int) -> list[int]:
        # The response holds text only; the ids are those that MII had decoded for it, without the last one
        # where that is the end-of-sequence token.
        (response,) = self.pipeline([ids], max_new_tokens=max_tokens, do_sample=False)
        ended = response.finish_reason == "stop"
        return [*map(int, self._tokenizer.decoded), *([self.tokenizer.eos_token_id] if ended else [])]

    def logits(self, ids: list[int], answer: list[int]):
        import torch

        engine, uid = self.pipeline.inference_engine, 0
        steps = [*_chunks(ids), *([token] for token in answer[:-1])]
        # put() returns the logits of the last token it was given, so the answer goes in one by one. Its checks
        # fail on MII's own way to allocate the pool, which is why the pipeline skips them too; load() made room.
        try:
            outputs = [engine.put([uid], [torch.tensor(step)], do_checks=False)[0].float().cpu() for step in steps]
        finally:
            engine.flush(uid)  # what keeps its KV blocks leaves too few for others, who then compute garbage
        return torch.stack(outputs[-len(answer) :])[:, : self._tokenizer.vocab_size].contiguous()

    def synchronize(self) -> None:
        import torch

        torch.cuda.synchronize()

    def reset_memory_peak(self) -> None:
        reset_peaks(on_gpu=True)
        self._blocks_used = 0
        self.pipeline.put = self._watched_put  # the pool is empty again when a generation returns

    def _watched_put(self, uids, tokens):
        """The pipeline's forward pass; records how much of the pool is used after it."""
        logits = type(self.pipeline).put(self.pipeline, uids, tokens)
        used = self._blocks - min(self.pipeline.inference_engine.free_blocks)
        self._blocks_used = max(self._blocks_used, used)
        return logits

    def memory(self) -> Memory:
        del self.pipeline.put  # the class's own again
        engine = self.pipeline.inference_engine
        pool = sum(cache.nbytes for cache in engine._state_manager._kv_cache._caches)
        used = pool // self._blocks * self._blocks_used
        return measure(engine._model.flattened_params.nbytes, pool, used, on_gpu=True)

    def kv_pool(self) -> tuple[int, int]:
        """Blocks of the KV pool, and tokens in each."""
        return self._blocks, self._block_tokens

    def describe(self) -> EngineDescription:
        return replace(super().describe(), kv_blocks=self._blocks)

    def close(self) -> None:
        if self._streaming:
            self.pipeline.shutdown()
        else:
            self.pipeline.destroy()
        collectives.leave()


def _end_process(failure) -> None:
    """End the process with a thread that failed, after its traceback."""
    threading.__excepthook__(failure)
    os._exit(1)


def _chunks(ids: list[int]) -> list[list[int]]:
    """A prompt in pieces that one forward pass of MII takes (768 tokens by default)."""
    return [ids[start : start + 512] for start in range(0, len(ids), 512)]


def state_manager(blocks: int, sequences: int) -> dict:
    """DeepSpeed's settings for a pool of so many blocks, and so many sequences at once."""
    limits = {name: max(default, sequences) for name, default in BATCH_LIMITS.items()}
    return {**limits, "memory_config": {"mode": "allocate", "size": blocks}}


def kv_blocks(tokens: int, head_dim: int, sequences: int = 1) -> int:
    """KV blocks that so many sequences of so many tokens each fill, and one to spare.

    A pool that runs out corrupts results without an error.
    """
    return sequences * -(-tokens // block_tokens(head_dim)) + 1


def block_tokens(head_dim: int) -> int:
    """Tokens in one of MII's KV blocks."""
    return 128 if head_dim <= 64 else 64
