"""Hugging Face Transformers: the reference for quality, and the baseline for speed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench_deepspeed.core.capabilities import TORCHAO
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.measure.records import EngineDescription, Memory

from . import checkpoint, collectives, torchao
from .base import Engine, Generation, Load, Streamed, longest_prompt
from .memory import measure, reset_peaks, stored_tensors


class TransformersEngine(Engine):
    name = "transformers"
    form = "transformers"
    own_kernels = False
    streams = True

    def load(self, load: Load, progress: Progress) -> None:
        import torch
        from transformers import AutoConfig, AutoTokenizer

        self._device = torch.device(load.device)
        self.tokenizer = AutoTokenizer.from_pretrained(load.folder)
        config = AutoConfig.from_pretrained(load.folder)
        self.context_tokens = config.max_position_embeddings
        longest_prompt(self.tokenizer, load, self.context_tokens)
        self.cell = load.cell(self.name)
        self.dtype = getattr(torch, self.cell.compute)
        settings = torchao.settings(load.precision, self.cell.packing) if self.cell.library == TORCHAO else {}
        settings |= self._placement(load)
        self.model = checkpoint.load_model(load.folder, dtype=self.dtype, **settings).eval()
        # Exactly max_tokens tokens: generation must not end at the end-of-sequence token, and generate()
        # fills what a call leaves out from here.
        self.model.generation_config.eos_token_id = None
        self.runner = self.model

    def _placement(self, load: Load) -> dict:
        """Where Transformers puts the tensors: on the device, or each rank's part of them on its own."""
        if load.tensor_parallel == 1:
            return {"device_map": load.device}
        from transformers.distributed import DistributedConfig

        return {"distributed_config": DistributedConfig(tp_plan="auto")}

    def library_call(self, prompt: str, max_tokens: int) -> Generation:
        ids = self.tokenizer(prompt).input_ids
        new_ids = self._continue(ids, max_tokens, eos=None)
        return Generation(self.tokenizer.decode(new_ids), len(ids), len(new_ids), new_ids)

    def generate_batch(self, prompts: list[list[int]], max_tokens: int) -> list[Generation]:
        new_ids = self._continue_all(prompts, max_tokens, eos=None)
        texts = self.tokenizer.batch_decode(new_ids)
        answers = zip(texts, prompts, new_ids, strict=True)
        return [Generation(text, len(prompt), len(new), new) for text, prompt, new in answers]

    def stream(self, prompt: str, max_tokens: int, clock: Callable[[], float]) -> Streamed:
        from .timed_streamer import TimedStreamer

        streamer = TimedStreamer(self.tokenizer, clock)
        self._continue(self.tokenizer(prompt).input_ids, max_tokens, eos=None, streamer=streamer)
        return Streamed(streamer.times, streamer.ids)

    def answer(self, ids: list[int], max_tokens: int) -> list[int]:
        return self._continue(ids, max_tokens, eos=self.tokenizer.eos_token_id).tolist()

    def _continue(self, ids: list[int], max_tokens: int, eos: int | None, streamer=None):
        """The greedy continuation of token ids, as a tensor of token ids."""
        return self._continue_all([ids], max_tokens, eos, streamer)[0]

    def _continue_all(self, rows: list[list[int]], max_tokens: int, eos: int | None, streamer=None):
        """The greedy continuations of rows of equal length, so that none is padded, as one tensor."""
        return self._generate(rows, max_tokens, eos, streamer=streamer)[:, len(rows[0]) :]

    def _generate(self, rows: list[list[int]], max_tokens: int, eos: int | None, **settings):
        """What the library's `generate` returns for such rows; `settings` are further ones of its own."""
        import torch

        inputs = torch.tensor(rows, device=self._device)
        with torch.inference_mode():
            return self.runner.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                max_new_tokens=max_tokens,
                do_sample=False,
                eos_token_id=eos,
                pad_token_id=self.tokenizer.eos_token_id,
                **settings,
            )

    def logits(self, ids: list[int], answer: list[int]):
        import torch

        inputs = torch.tensor([ids + answer], device=self._device)
        with torch.inference_mode():
            output = self.runner(input_ids=inputs).logits
        return output[0, len(ids) - 1 : -1].float().cpu().contiguous()

    def synchronize(self) -> None:
        import torch

        if self._on_gpu:
            torch.cuda.synchronize()

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def reset_memory_peak(self) -> None:
        reset_peaks(self._on_gpu)
        self._kv_used = 0
        self._watch = self.model.register_forward_hook(self._note_cache)

    def _note_cache(self, _model, _arguments, output) -> None:
        self._kv_used = max(self._kv_used, kv_cache_bytes(output.past_key_values))

    def memory(self) -> Memory:
        self._watch.remove()
        return measure(self._weights_bytes(), None, self._kv_used, self._on_gpu)

    def _weights_bytes(self) -> int:
        """Of the parameters as they are stored, a shared tensor counted once."""
        return sum({t.data_ptr(): t.nbytes for t in stored_tensors(self.model.parameters())}.values())

    def describe(self) -> EngineDescription:
        return replace(super().describe(), attention=self.model.config._attn_implementation)

    def close(self) -> None:
        collectives.leave()


def kv_cache_bytes(cache) -> int:
    """Bytes of the keys and values that a Transformers cache holds."""
    return sum(tensor.nbytes for layer in cache.layers for tensor in (layer.keys, layer.values))
