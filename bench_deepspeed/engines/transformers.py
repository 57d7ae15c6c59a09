"""Hugging Face Transformers: the reference for quality, and the baseline for speed."""

from __future__ import annotations

from .base import Engine, Generation, Load, Progress, check_fits, host_peak_bytes, reset_host_peak


class TransformersEngine(Engine):
    name = "transformers"
    summary = "Hugging Face Transformers, eager: the baseline and the reference"
    precisions = {"cuda": ("float16", "bfloat16", "float32"), "cpu": ("float32", "bfloat16")}
    form = "transformers"

    def load(self, load: Load, progress: Progress) -> None:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        self._device = torch.device(load.device)
        self.tokenizer = AutoTokenizer.from_pretrained(load.folder)
        config = AutoConfig.from_pretrained(load.folder)
        prompt_tokens = len(self.tokenizer(load.prompt).input_ids)
        check_fits(prompt_tokens, load.max_tokens, config.max_position_embeddings)
        self.dtype = getattr(torch, load.precision)
        self.model = AutoModelForCausalLM.from_pretrained(
            load.folder, dtype=self.dtype, device_map=load.device, use_safetensors=True
        ).eval()
        # Exactly max_tokens tokens: generation must not end at the end-of-sequence token, and generate()
        # fills what a call leaves out from here.
        self.model.generation_config.eos_token_id = None
        self.runner = self.model

    def generate(self, prompt: str, max_tokens: int) -> Generation:
        import torch

        inputs = self.tokenizer(prompt, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            output = self.runner.generate(
                input_ids=inputs.input_ids,
                attention_mask=inputs.attention_mask,
                max_new_tokens=max_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.eos_token_id,
            )
        prompt_tokens = inputs.input_ids.shape[1]
        new_ids = output[0, prompt_tokens:]
        return Generation(self.tokenizer.decode(new_ids), prompt_tokens, len(new_ids))

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
