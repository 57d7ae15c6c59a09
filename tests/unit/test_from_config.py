"""A model's manifest from its config.json, and what MII's kernels do not run of it."""

from __future__ import annotations

import pytest

from bench_deepspeed.benchmarks.common import precisions
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.model import arithmetic, catalog, from_config

CONFIG = {
    "model_type": "llama",
    "vocab_size": 1000,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "torch_dtype": "float16",
    "rope_theta": 5e5,
}


def spec_of(**changes) -> catalog.ModelSpec:
    source = {"kind": "folder", "path": "/none"}
    shape = from_config.shape_of({**CONFIG, **changes})
    return catalog.checked("mine", {"title": "Mine", "licence": "its own", "source": source, "shape": shape})


def test_what_a_config_leaves_out_is_what_transformers_takes():
    shape = spec_of().shape
    assert (shape["num_key_value_heads"], shape["head_dim"], shape["tie_word_embeddings"]) == (4, 64, False)
    assert shape["architectures"] == ["LlamaForCausalLM"]
    assert shape["rope_theta"] == 5e5  # whatever else it says is kept
    assert "torch_dtype" not in shape
    assert spec_of(head_dim=32, num_key_value_heads=2).tensor_shapes["model.layers.1.self_attn.k_proj.weight"] == (
        64,
        256,
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "gpt2"}, "its model_type is 'gpt2'; the suite measures llama, mistral, qwen2"),
        ({"hidden_size": "256"}, "no hidden_size that is a whole number above 0"),
        ({"num_hidden_layers": 0}, "no num_hidden_layers"),
        ({"auto_map": {"AutoModel": "mine.py"}}, "code of its own"),
        ({"quantization_config": {"bits": 4}}, "its weights are quantized"),
        ({"hidden_act": "gelu"}, "its hidden_act is 'gelu'"),
        ({"attention_bias": True}, "its attention_bias is True; the suite measures models with False"),
        ({"hidden_size": 255}, "no multiple of num_attention_heads"),
        ({"tie_word_embeddings": "yes"}, "shape.tie_word_embeddings must be true or false"),
        ({"rope_scaling": "linear"}, "its rope_scaling is 'linear', and not an object"),
        ({"model_type": "mistral"}, "no num_key_value_heads that is a whole number above 0"),
        ({"hidden_size": 255, "head_dim": None}, "no multiple of num_attention_heads"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "its use_sliding_window is True"),
        ({"num_key_value_heads": 3}, "num_attention_heads must be a multiple"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers must be 10000 or less"),
    ],
)
def test_what_is_not_measured_is_named(changes, words):
    with pytest.raises(UsageError, match=words):
        spec_of(**changes)


def test_qwen2_has_biases_and_no_window_but_one_that_it_uses():
    spec = spec_of(model_type="qwen2", sliding_window=4096, use_sliding_window=False, num_key_value_heads=2)
    assert arithmetic.window(spec) == float("inf")
    biases = {name: size for name, (size, *rest) in spec.tensor_shapes.items() if not rest and name.endswith(".bias")}
    assert {name.split(".")[4]: size for name, size in biases.items()} == {"q_proj": 256, "k_proj": 128, "v_proj": 128}
    assert len(biases) == 6
    assert spec.parameters == spec_of(num_key_value_heads=2).parameters + 2 * (256 + 128 + 128)


def test_what_is_no_config_is_refused():
    with pytest.raises(UsageError, match="must hold an object"):
        from_config.shape_of([1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"rope_scaling": None}, None),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, None),
        ({"head_dim": 48}, "its heads have 48 values, and the kernels are for 64, 80, 96, 128"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "its rotary embedding is scaled ('llama3')"),
        ({"rope_scaling": {"type": "linear"}}, "its rotary embedding is scaled ('linear')"),
    ],
)
def test_mii_refuses_what_its_kernels_do_not_run(changes, words):
    reason = precisions.refusal(spec_of(**changes), "mii", "cuda", "float16")
    assert reason is None if words is None else reason.startswith(f"mii cannot run mine: {words}")
    assert precisions.refusal(spec_of(**changes), "transformers", "cuda", "float16") is None


def test_mii_computes_qwen2_in_float16_alone():
    spec = spec_of(model_type="qwen2", num_key_value_heads=2)
    assert "computes Qwen2 in float16" in precisions.refusal(spec, "mii", "cuda", "bfloat16")
    assert precisions.refusal(spec, "mii", "cuda", "float16") is None
    assert precisions.refusal(spec, "deepspeed", "cuda", "bfloat16") is None
    assert precisions.refusal(spec_of(), "mii", "cuda", "bfloat16") is None


@pytest.mark.parametrize("name", catalog.pinned())
def test_mii_runs_every_model_of_the_suite(name):
    assert arithmetic.kernel_refusal(catalog.load(name).shape) is None
