"""Hugging Face Transformers: the reference for quality, and the baseline for speed."""

from __future__ import annotations

from .base import Engine, Generation, Load, Progress, host_peak_bytes, longest_prompt, reset_host_peak


class TransformersEngine(Engine):
    name = "transformers"
    summary = "Hugging Face Transformers, eager: the baseline and the reference"
    precisions = {"cuda": ("float16", "bfloat16", "float32"), "cpu": ("float32", "bfloat16")}
    form = "transformers"
    own_kernels = False

    def load(self, load: Load, progress: Progress) -> None:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        self._device = torch.device(load.device)
        self.tokenizer = AutoTokenizer.from_pretrained(load.folder)
        config = AutoConfig.from_pretrained(load.folder)
        self.context_tokens = config.max_position_embeddings
        longest_prompt(self.tokenizer, load, self.context_tokens)
        self.dtype = getattr(torch, load.precision)
        self.model = AutoModelForCausalLM.from_pretrained(
            load.folder, dtype=self.dtype, device_map=load.device, use_safetensors=True
        ).eval()
        # Exactly max_tokens tokens: generation must not end at the end-of-sequence token, and generate()
        # fills what a call leaves out from here.
        self.model.generation_config.eos_token_id = None
        self.runner = self.model

    def generate(self, prompt: str, max_tokens: int) -> Generation:
        ids = self.tokenizer(prompt).input_ids
        new_ids = self._continue(ids, max_tokens, eos=None)
        return Generation(self.tokenizer.decode(new_ids), len(ids), len(new_ids))

    def answer(self, ids: list[int], max_tokens: int) -> list[int]:
        return self._continue(ids, max_tokens, eos=self.tokenizer.eos_token_id).tolist()

    def _continue(self, ids: list[int], max_tokens: int, eos: int | None):
        """The greedy continuation of token ids, as a tensor of token ids."""
        import torch

        inputs = torch.tensor([ids], device=self._device)
        with torch.inference_mode():
            output = self.runner.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                max_new_tokens=max_tokens,
                do_sample=False,
                eos_token_id=eos,
                pad_token_id=self.tokenizer.eos_token_id,
            )
        return output[0, len(ids) :]

    def logits(self, ids: list[int], answer: list[int]):
        import torch

        inputs = torch.tensor([ids + answer], device=self._device)
        with torch.inference_mode():
            output = self.runner(input_ids=inputs).logits
        return output[0, len(ids) - 1 : -1].float().cpu().contiguous()

    def synchronize(self) -> None:
        import torch

        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def reset_memory_peak(self) -> None:
        import torch

        reset_host_peak()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def memory(self) -> dict[str, int | None]:
        import torch

        weights = {t.data_ptr(): t.nbytes for t in self.model.parameters()}
        on_gpu = self._device.type == "cuda"
        return {
            "weights_bytes": sum(weights.values()),
            "device_peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
            "host_peak_bytes": host_peak_bytes(),
        }

    def describe(self) -> dict:
        return {"attention": self.model.config._attn_implementation}
