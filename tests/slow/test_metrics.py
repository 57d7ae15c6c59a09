"""Bytes, FLOPs and utilization against counts made in another way, and against figures worked out by hand."""

from __future__ import annotations

import json
import struct

from bench_deepspeed import weights
from bench_deepspeed.model import arithmetic, catalog

LLAMA, MISTRAL, SMOLLM2 = (catalog.load(name) for name in ("llama", "mistral", "smollm2"))


def test_weights_are_those_of_the_real_file(smollm2_models_dir):
    """The sizes in the header of SmolLM2's own safetensors file, which nothing here computes."""
    want = weights.Want("pretrained", "transformers", "float32", 0)
    (path,) = weights.final_folder(smollm2_models_dir, SMOLLM2, want).glob("*.safetensors")
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    tensors = {name: entry for name, entry in header.items() if name not in ("__metadata__", "lm_head.weight")}
    sizes = {name: entry["data_offsets"][1] - entry["data_offsets"][0] for name, entry in tensors.items()}
    assert arithmetic.decode_bytes(SMOLLM2, "float32", 0) == sum(sizes.values())
    products = sum(size for name, size in sizes.items() if len(tensors[name]["shape"]) == 2) / 4
    assert arithmetic.decode_flops(SMOLLM2) == 2 * products


def test_prefill_flops_near_torchs_own_count():
    """torch's counter on a small model of the same kind; it counts full attention and the whole head."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "head_dim": 16}
    shape = {**sizes, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False}
    spec, tokens = catalog.ModelSpec("tiny", "tiny", "", {}, shape), 48
    model = LlamaForCausalLM(LlamaConfig(**shape, attn_implementation="eager"))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.arange(tokens)[None], logits_to_keep=1)
    causal = 2 * 2 * 3 * 64 * tokens**2 / 2
    rotary = 2 * (16 // 2) * tokens  # positions × frequencies is a product too
    assert arithmetic.prefill_flops(spec, tokens) + causal + rotary == counter.get_total_flops()
