"""The check of the answers: its numbers against their definitions, its verdict against a real fault."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from support import no_progress, wait_until
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.benchmarks.quality import agreement, chat, reference, verdict
from bench_deepspeed.benchmarks.quality.assess import Task, assess
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.engines.base import Load
from bench_deepspeed.engines.deepspeed import DeepSpeedEngine
from bench_deepspeed.engines.transformers import TransformersEngine
from bench_deepspeed.machine.probe import NoProbe
from bench_deepspeed.weights import store
from bench_deepspeed.worker.state import LoadedEngine, Worker

TWO = questions.QuestionSet("Be brief.", 10, ["What is the capital of France?", "Name a colour."], [{}, {}])
# The templates' shapes: Llama-2 has a system role and a BOS of its own, Mistral v0.1 refuses the role.
LLAMA = (
    "{{ bos_token }}[INST] {% if messages[0]['role'] == 'system' %}<<SYS>>\n{{ messages[0]['content'] }}\n<</SYS>>\n\n"
    "{{ messages[1]['content'] }}{% else %}{{ messages[0]['content'] }}{% endif %} [/INST]"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
)
SILENT = "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% endif %}{% endfor %}"


@pytest.fixture(scope="module")
def model(smollm2_models_dir):
    """The folder of the real SmolLM2 as Transformers reads it."""
    return smollm2_models_dir / "smollm2" / "pretrained"


def loaded(engine, model, tmp_path, precision="float32"):
    engine.load(Load(model, "cpu", precision, tmp_path, [], 10), no_progress)
    return engine


def computed(engine, asked, folder):
    """A reference folder with the engine's answers to the questions."""
    prompts = reference.encode_questions(engine.tokenizer, asked, engine.context_tokens)
    reference.compute(engine, prompts, asked.max_tokens, folder, no_progress)
    return folder


@pytest.fixture(scope="module")
def truth(model, tmp_path_factory):
    """A reference folder: two questions answered by SmolLM2 in float32."""
    folder = tmp_path_factory.mktemp("models") / "reference"
    return computed(loaded(TransformersEngine(), model, folder.parent), TWO, folder)


def test_teacher_forced_is_what_its_formulas_say():
    rng = np.random.default_rng(1)
    p, q = rng.normal(size=(2, 7, 11))
    tokens = rng.integers(11, size=7).tolist()
    found = agreement.teacher_forced(torch.tensor(p), torch.tensor(q), tokens)
    log_p, log_q = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in (p, q))
    rows = np.arange(7)
    assert found["kl"] == pytest.approx((np.exp(log_p) * (log_p - log_q)).sum(axis=1))
    assert found["nll_differences"] == pytest.approx(log_p[rows, tokens] - log_q[rows, tokens])
    assert found["top1_agreement"] == pytest.approx((p.argmax(1) == q.argmax(1)).mean())


@pytest.mark.parametrize("architecture", ["llama", "mistral"])
@pytest.mark.parametrize("template", [LLAMA, MISTRAL, SILENT], ids=["system role", "no system role", "drops it"])
def test_question_has_the_system_prompt_once_and_one_bos(model, architecture, template):
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template
    ids = chat.encode(tokenizer, "Be brief.", f"Is {architecture} an animal?")
    text = tokenizer.decode(ids)
    assert text.count("Be brief.") == 1
    assert text.index("Be brief.") < text.index("animal")
    assert ids.count(tokenizer.bos_token_id) == text.count(tokenizer.bos_token) == template.count("bos_token")


def test_model_without_template_is_refused(model):
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = None
    with pytest.raises(UsageError, match="no chat template"):
        chat.encode(tokenizer, "", "Hello")


def worker_of(engine) -> Worker:
    worker = Worker(no_progress)
    worker.use(LoadedEngine(engine, "cpu", NoProbe()))
    return worker


def judged(engine, truth, precision="float32", floor=None, floor_folder=None):
    """The verdict on an engine; `floor` is what Transformers came to in the same precision, kept in its folder."""
    answers = assess(worker_of(engine), Task(truth, 10, floor=floor_folder))
    measures = verdict.measures(answers)
    return verdict.judge(measures, verdict.floor_of({"floor": floor}, measures), precision, engine.own_kernels)


def test_deepspeed_in_float32_is_identical(model, truth, tmp_path):
    result = judged(loaded(DeepSpeedEngine(), model, tmp_path), truth)
    assert result["ok"]
    assert result["words"] == "identical to float32"


def test_rope_cast_to_bfloat16_is_found_and_only_that(small_models_dir, tmp_path):
    """init_inference casts RoPE's inv_freq too; with float32 put back it agrees with Transformers to the bit."""
    model = small_models_dir / "smollm2" / "pretrained"
    truth = computed(loaded(TransformersEngine(), model, tmp_path), TWO, tmp_path / "reference")
    plain = loaded(TransformersEngine(), model, tmp_path, "bfloat16")
    engine = loaded(DeepSpeedEngine(), model, tmp_path, "bfloat16")
    rope = engine.model.model.rotary_emb
    assert rope.inv_freq.dtype == torch.bfloat16
    floor = assess(worker_of(plain), Task(truth, 10, keep=tmp_path))
    faulty = judged(engine, truth, "bfloat16", floor, tmp_path)
    assert not faulty["ok"]
    assert "on_top_kl" in {found["measure"] for found in faulty["outside"]}
    rope.inv_freq = plain.model.model.rotary_emb.inv_freq.clone()
    repaired = judged(engine, truth, "bfloat16", floor, tmp_path)
    assert repaired["ok"], repaired["words"]
    assert repaired["measures"]["early"]["on_top_kl"] == repaired["measures"]["late"]["on_top_kl"] == 0.0


@pytest.fixture(
    scope="module", params=[("llama", LLAMA), ("mistral", MISTRAL), ("qwen2", MISTRAL)], ids=lambda param: param[0]
)
def small_model(request, model, tmp_path_factory):
    """A folder with a small model of random values, of an architecture and with a template like a 7B model's."""
    architecture, template = request.param
    folder = tmp_path_factory.mktemp(architecture)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(
        architecture, **sizes, num_key_value_heads=2, vocab_size=len(tokenizer), max_position_embeddings=512
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def test_every_architecture_goes_the_same_way(small_model, tmp_path):
    """From the chat template to the verdict, as the 7B models do."""
    truth = computed(loaded(TransformersEngine(), small_model, tmp_path), TWO, tmp_path / "reference")
    result = judged(loaded(DeepSpeedEngine(), small_model, tmp_path), truth)
    assert result["words"] == "identical to float32"
    plain = loaded(TransformersEngine(), small_model, tmp_path, "bfloat16")
    rounded = judged(plain, truth, "bfloat16")
    assert not rounded["ok"]  # against a floor of zero, rounding to bfloat16 is a difference
    assert rounded["measures"]["early"]["mean_kl"] > 0


def test_an_answer_that_ignores_its_end_is_found(small_model, tmp_path, monkeypatch):
    """It is the reference's to the end, and goes on behind that: no logit shows it."""
    engine = loaded(TransformersEngine(), small_model, tmp_path)
    prompts = reference.encode_questions(engine.tokenizer, TWO, engine.context_tokens)
    endless = partial(engine._continue, eos=None)
    engine.tokenizer.eos_token_id = int(endless(prompts[0], 10)[3])
    reference.compute(engine, prompts, 10, tmp_path / "reference", no_progress)
    assert len(reference.read_answers(tmp_path / "reference")[0]["answer_ids"]) <= 4
    assert judged(engine, tmp_path / "reference")["ok"]
    monkeypatch.setattr(engine, "answer", lambda ids, max_tokens: endless(ids, max_tokens).tolist())
    found = judged(engine, tmp_path / "reference")
    assert [outside["measure"] for outside in found["outside"]] == ["past_end"]
    assert "tokens past the end" in found["words"]


def test_prefix_leaves_room_in_the_context_for_a_long_question(small_model, tmp_path):
    asked = questions.QuestionSet("", 10, ["word " * 400, "Short?"], [{}, {}])
    folder = computed(loaded(TransformersEngine(), small_model, tmp_path), asked, tmp_path / "reference")
    long, short = reference.read_answers(folder)
    for answer in (long, short):
        assert len(reference.contexts(answer)["late"]) + 10 <= 512
    assert len(long["prefix_ids"]) < len(short["prefix_ids"])


def test_answer_that_its_own_logits_do_not_prefer_has_a_gap():
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, 1.0, 2.0], [0.0, 0.0, 9.0]])
    reference, eos = [1, 0, 2], 2
    assert agreement.answer_gap(logits, reference, [1, 0, 2], eos) == 0.0
    assert agreement.answer_gap(logits, [1, 2, 2], [1, 0, 0], eos) == 0.0  # it differs where its logits do
    assert agreement.answer_gap(logits, reference, [1, 2, 0], eos) == 3.0
    assert agreement.answer_gap(logits, reference, [1, 0], eos) == 0.0  # ended where its logits end
    assert agreement.answer_gap(logits, reference, [1], eos) == 3.0  # ended too early


@pytest.mark.parametrize(
    ("answer", "expected"), [([5, 6, 2], 0), ([5, 6], 0), ([5, 2, 6, 2], 2), ([5, 6, 7, 8, 9], 1), ([2], 0)]
)
def test_tokens_behind_the_end_of_an_answer(answer, expected):
    assert agreement.past_end(answer, max_tokens=4, eos=2) == expected


def test_cache_that_was_cut_or_altered_is_noticed(truth):
    path = truth / "logits-0.safetensors"
    whole = path.read_bytes()
    assert store.damage_of(truth) is None
    path.write_bytes(whole[:-100])
    assert "was cut" in store.damage_of(truth)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "was altered" in store.damage_of(truth)
    path.write_bytes(whole)
    assert store.damage_of(truth) is None


def test_cache_is_another_for_another_model_question_template_or_device(model, tmp_path):
    own, changed = (AutoTokenizer.from_pretrained(model) for _ in range(2))
    changed.chat_template = LLAMA
    for name, theta in (("one", 1.0), ("other", 2.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"rope_theta": theta}))
    asked, templated = (reference.encode_questions(tokenizer, TWO, 512) for tokenizer in (own, changed))
    keys = [
        ("one", "a", asked, 10, "cpu"),
        ("other", "a", asked, 10, "cpu"),
        ("one", "b", asked, 10, "cpu"),
        ("one", "a", templated, 10, "cpu"),
        ("one", "a", asked[:1], 10, "cpu"),
        ("one", "a", asked, 11, "cpu"),
        ("one", "a", asked, 10, "Some GPU"),
    ]
    names = [reference.name_of(tmp_path / name, *key) for name, *key in keys]
    assert len(set(names)) == len(keys)
    assert reference.name_of(tmp_path / "one", "a", asked, 10, "cpu") == names[0]


def test_question_beyond_the_context_is_refused(model):
    asked = questions.QuestionSet("", 10, ["Short?", "word " * 9000], [{}, {}])
    with pytest.raises(UsageError, match=r"question 2 .*but the model's context is 8192: shorten it"):
        reference.encode_questions(AutoTokenizer.from_pretrained(model), asked, 8192)


def test_interrupted_check_says_so_and_keeps_what_it_has(bench, small_models_dir, tmp_path):
    asked = tmp_path / "one.json"
    asked.write_text(json.dumps({"max_tokens": 4, "questions": [{"prompt": "Hello"}]}))
    flags = ("--questions", asked, "--models_dir", small_models_dir, "--output_dir", "o")
    process = bench.start("quality", "-d", "cpu", "-n", "smollm2", *flags)
    floor = wait_until(lambda: next(filter(Path.is_dir, tmp_path.glob("o/smollm2/*/.*/*")), None))
    process.send_signal(signal.SIGTERM)
    assert bench.finish(process).returncode == 143
    wait_until(lambda: bench.processes() == [])  # the kernel takes a moment to end what was killed
    folder = floor.parent.parent
    assert {path.name for path in folder.iterdir()} == {"quality.json", "quality.md", "worker.log"}
    quality = json.loads((folder / "quality.json").read_text())
    assert (quality["status"], len(quality["questions"])) == ("interrupted", 1)
    assert "interrupted: not everything" in (folder / "quality.md").read_text().lower()
