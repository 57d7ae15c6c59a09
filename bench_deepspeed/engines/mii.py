"""DeepSpeed-MII's pipeline: what this suite is for."""

from __future__ import annotations

from ..errors import MachineError
from ..network import free_port
from . import kernels
from .base import Engine, Generation, Load, Progress, host_peak_bytes, longest_prompt, reset_host_peak

MINIMUM_CAPABILITY = (8, 0)


class MiiEngine(Engine):
    name = "mii"
    summary = "DeepSpeed-MII's pipeline on CUDA"
    precisions = {"cuda": ("float16", "bfloat16")}
    refusals = {"cpu": "MII's kernels run on CUDA only: use --engine deepspeed, or -d cuda on a machine with a GPU"}
    form = "mii"

    def load(self, load: Load, progress: Progress) -> None:
        import torch
        from transformers import AutoConfig, AutoTokenizer

        capability = torch.cuda.get_device_capability()
        if capability < MINIMUM_CAPABILITY:
            raise MachineError(
                "MII needs a GPU of compute capability 8.0 or more, this one has {}.{}: "
                "use --engine transformers".format(*capability)
            )
        tokenizer = AutoTokenizer.from_pretrained(load.folder)
        tokenizer.pad_token = tokenizer.eos_token
        config = AutoConfig.from_pretrained(load.folder)
        self.context_tokens = config.max_position_embeddings
        prompt_tokens = longest_prompt(tokenizer, load, self.context_tokens)
        self.kernel_build_s = kernels.build(capability, load.log_folder, progress)
        self._blocks = kv_blocks(prompt_tokens + load.max_tokens, config.head_dim)
        self.pipeline = self._open_pipeline(load, tokenizer)

    def _open_pipeline(self, load: Load, tokenizer):
        import mii

        from .mii_tokenizer import TokenizerForMii

        self.tokenizer = tokenizer
        self._tokenizer = TokenizerForMii(tokenizer)
        # Left to itself MII takes all free memory but 1 GB for the KV cache; and its ports are fixed ones.
        cache = {"memory_config": {"mode": "allocate", "size": self._blocks}}
        return mii.pipeline(
            str(load.folder),
            tokenizer=self._tokenizer,  # a path would be read with trust_remote_code
            torch_dist_port=free_port(),
            zmq_port_number=free_port(),
            inference_engine_config={"state_manager": cache},
        )

    def generate(self, prompt: str, max_tokens: int) -> Generation:
        (response,) = self.pipeline(prompt, max_new_tokens=max_tokens, do_sample=False, ignore_eos=True)
        return Generation(response.generated_text, response.prompt_length, response.generated_length)

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
        outputs = [engine.put([uid], [torch.tensor(step)], do_checks=False)[0].float().cpu() for step in steps]
        engine.flush(uid)
        return torch.stack(outputs[-len(answer) :])[:, : self._tokenizer.vocab_size].contiguous()

    def synchronize(self) -> None:
        import torch

        torch.cuda.synchronize()

    def reset_memory_peak(self) -> None:
        import torch

        reset_host_peak()
        torch.cuda.reset_peak_memory_stats()

    def memory(self) -> dict[str, int | None]:
        import torch

        engine = self.pipeline.inference_engine
        caches = engine._state_manager._kv_cache._caches
        return {
            "weights_bytes": engine._model.flattened_params.nbytes,
            "kv_pool_bytes": sum(cache.nbytes for cache in caches),
            "device_peak_bytes": torch.cuda.max_memory_allocated(),
            "host_peak_bytes": host_peak_bytes(),
        }

    def describe(self) -> dict:
        return {"kv_blocks": self._blocks}

    def close(self) -> None:
        import torch.distributed

        self.pipeline.destroy()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _chunks(ids: list[int]) -> list[list[int]]:
    """A prompt in pieces that one forward pass of MII takes (768 tokens by default)."""
    return [ids[start : start + 512] for start in range(0, len(ids), 512)]


def kv_blocks(tokens: int, head_dim: int) -> int:
    """KV blocks that a sequence of that many tokens fills, and one to spare.

    MII's blocks hold 128 tokens for head sizes up to 64 and 64 above; a pool that runs out corrupts
    results without a word.
    """
    block = 128 if head_dim <= 64 else 64
    return -(-tokens // block) + 1
