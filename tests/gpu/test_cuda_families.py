"""What only a GPU can prove of each architecture that `models add` takes: MII answers as Transformers does."""

from __future__ import annotations

import json

import pytest

from bench_deepspeed.model import catalog
from bench_deepspeed.model.from_config import FAMILIES

pytestmark = pytest.mark.gpu
SIZES = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 49152,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}


@pytest.fixture(params=FAMILIES)
def added(request, bench, tmp_path, smollm2_models_dir):
    """The name of a small model of random values, with SmolLM2's tokenizer; its manifest goes when the test ends."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder, name = tmp_path / "model", f"gpu-test-{request.param}"
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(request.param, **SIZES))
    for parameter, value in model.named_parameters():
        if parameter.endswith(".bias"):
            torch.nn.init.normal_(value)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(smollm2_models_dir / "smollm2" / "pretrained").save_pretrained(folder)
    done = bench("models", "add", folder, "--name", name)
    assert done.returncode == 0, done.stderr
    yield name
    catalog.own_file(name).unlink()


def test_mii_is_within_the_noise_floor_of_each_family(added, bench, tmp_path):
    asked = tmp_path / "two.json"
    questions = [{"prompt": "What is the capital of France?"}, {"prompt": "Name a colour."}]
    asked.write_text(json.dumps({"max_tokens": 16, "questions": questions}))
    flags = ("--precision", "float16", "--questions", asked, "--models_dir", "models", "--output_dir", "out")
    done = bench("quality", "-d", "cuda", "-n", added, "--engine", "mii", *flags, "--fail_on_quality")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob(f"out/{added}/*/quality.json")
    (candidate,) = json.loads(path.read_text())["candidates"]
    assert (candidate["baseline"], candidate["verdict"]["ok"]) == ("transformers", True)
