"""Packed weights on the CPU: their bytes, their answers, and that scales of a neighbouring group are found."""

from __future__ import annotations

import pytest
import torch
from support import no_progress
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.benchmarks.quality import reference, verdict
from bench_deepspeed.benchmarks.quality.assess import Task, assess
from bench_deepspeed.benchmarks.quality.baseline import baseline_of
from bench_deepspeed.core import capabilities
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Engine, Load
from bench_deepspeed.machine.probe import NoProbe
from bench_deepspeed.model import arithmetic, catalog
from bench_deepspeed.model.catalog import ModelSpec
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.state import LoadedEngine, Worker

NEW_TOKENS = 12
ASKED = questions.QuestionSet("Be brief.", NEW_TOKENS, ["What is the capital of France?", "Name a colour."], [{}, {}])
# transformers_compiled has the weights of transformers, and takes a minute of CPU to compile them: see tests/gpu.
PACKED = [
    ("deepspeed", "int8"),
    ("deepspeed", "int4"),
    ("transformers", "int8"),
    ("transformers", "fp8"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model of random values, wide enough for groups of 64, whose tokenizer knows a few hundred words."""
    place = tmp_path_factory.mktemp("small")
    words = ["<unk>", "</s>", *" ".join((ASKED.system_prompt, *ASKED.prompts)).split(), *map(str, range(400))]
    model = models.WordLevel({word: index for index, word in enumerate(dict.fromkeys(words))}, unk_token="<unk>")
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    tokenizer.save_pretrained(place)
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(
        "llama",
        **sizes,
        num_key_value_heads=2,
        head_dim=32,
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def spec(folder) -> ModelSpec:
    shape = AutoConfig.from_pretrained(folder).to_dict()
    return ModelSpec("small", "Small", "none", {}, shape)


def loaded(engine: str, precision: str, folder) -> Engine:
    made = engine_class(engine)()
    made.load(Load(folder, "cpu", precision, folder, ["Name a colour."], NEW_TOKENS), no_progress)
    return made


@pytest.fixture(scope="module")
def truth(folder, tmp_path_factory):
    """The float32 answers."""
    engine, place = loaded("transformers", "float32", folder), tmp_path_factory.mktemp("models") / "reference"
    prompts = reference.encode_questions(engine.tokenizer, ASKED, engine.context_tokens)
    reference.compute(engine, prompts, NEW_TOKENS, place, no_progress)
    return place


@pytest.fixture(scope="module")
def engines(folder) -> dict[tuple[str, str], Engine]:
    return {key: loaded(*key, folder) for key in PACKED}


def worker_of(engine: Engine) -> Worker:
    worker = Worker(no_progress)
    worker.use(LoadedEngine(engine, "cpu", NoProbe()))
    return worker


def judged(engine: Engine, precision: str, truth, baseline: Engine | None, keep) -> dict:
    """The verdict on an engine, with a baseline's distance as its noise floor."""
    floor = baseline and assess(worker_of(baseline), Task(truth, NEW_TOKENS, keep=keep))
    answers = assess(worker_of(engine), Task(truth, NEW_TOKENS, floor=keep if baseline else None))
    candidate = {"precision": precision, "baseline": baseline and baseline.name, "engine": answers, "floor": floor}
    return verdict.verdict_of(candidate, engine.name, "cpu")


@pytest.mark.parametrize("key", PACKED, ids=" ".join)
def test_packed_weights_take_the_bytes_that_the_arithmetic_says(engines, spec, key):
    engine, cell = engines[key], capabilities.cell(key[0], "cpu", key[1])
    memory = tasks.measure_memory(worker_of(engine), "Name a colour.", NEW_TOKENS)
    assert memory.weights_bytes == arithmetic.weight_bytes(spec, cell.compute, cell.packing)
    described = engine.describe()
    assert (described.path, described.compute, described.packing) == (cell.path, cell.compute, cell.packing.words)


def test_packed_weights_are_near_float32_and_fewer_bits_are_farther(engines, truth, tmp_path):
    """Each precision has a floor of its own: the same one through another library, where there is one."""
    far = {}
    for key in PACKED:
        other = baseline_of(catalog.load("smollm2"), key[0], "cpu", key[1])
        found = judged(engines[key], key[1], truth, other and engines[other, key[1]], tmp_path)
        assert found["ok"] is (None if other is None else True), (key, found["words"])
        assert ("nothing else runs" in found["words"]) == (other is None)
        far[key] = found["measures"]["early"]["mean_kl"]
    assert 0 < far["deepspeed", "int8"] < far["transformers", "fp8"] < far["deepspeed", "int4"]


def shift_scales(engine: Engine, groups: int) -> None:
    """Have each group of one matrix of each layer unpacked with the scale of the group that is so many before it."""
    for layer in engine.model.model.layers:
        weight = layer.mlp.down_proj.weight
        _packed, scale, _minimum = weight.deconcat(weight)
        with torch.no_grad():
            scale.copy_(scale.roll(groups, dims=0))


def test_scales_of_a_neighbouring_group_are_found(engines, truth, tmp_path):
    """A wrong dequantization, and the right one again."""
    engine, baseline = engines["deepspeed", "int8"], engines["transformers", "int8"]
    shift_scales(engine, 1)
    found = judged(engine, "int8", truth, baseline, tmp_path)
    assert found["ok"] is False
    assert {"mean_kl", "on_top_kl"} <= {outside["measure"] for outside in found["outside"]}
    shift_scales(engine, -1)
    assert judged(engine, "int8", truth, baseline, tmp_path)["ok"]
