"""Transformers with a static KV cache and compiled decode steps, on tiny random models that compile in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support import no_progress
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, MistralConfig

from bench_deepspeed.benchmarks.selftest.blocks import interleaved
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Engine, Load
from bench_deepspeed.worker import profiling, tasks
from bench_deepspeed.worker.client import WorkerProcess
from bench_deepspeed.worker.state import Worker

PROMPT = "Write an essay about the transformer model architecture"
PROMPT_TOKENS = 8
NEW_TOKENS = 6
WINDOW = 10  # shorter than prompt and answer


@pytest.fixture(scope="module")
def tiny(smollm2_models_dir, tmp_path_factory) -> dict[str, Path]:
    """Two models of one layer with random weights and SmolLM2's tokenizer: Llama's kind, and a sliding window."""
    tokenizer = AutoTokenizer.from_pretrained(smollm2_models_dir / "smollm2" / "pretrained")
    shape = {"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256}
    shape |= {"initializer_range": 0.2, "tie_word_embeddings": True}
    configs = {"llama": LlamaConfig(**shape), "mistral": MistralConfig(**shape, sliding_window=WINDOW)}
    folders = {name: tmp_path_factory.mktemp(name) for name in configs}
    for name, config in configs.items():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    return folders


def load_of(folder: Path, **more) -> Load:
    return Load(
        folder,
        "cpu",
        "float32",
        folder,
        **{"prompts": [PROMPT], "max_tokens": NEW_TOKENS, "reserve_tokens": 41, **more},
    )


def loaded(engine: str, folder: Path, **more) -> Engine:
    made = engine_class(engine)()
    made.load(load_of(folder, **more), no_progress)
    return made


@pytest.fixture(scope="module")
def worker() -> Worker:
    """A worker in this process."""
    return Worker(no_progress)


@pytest.fixture(scope="module", autouse=True)
def loading(worker, tiny) -> tasks.Loaded:
    """What it took the worker to load the engine."""
    return tasks.load(worker, "transformers_compiled", load_of(tiny["llama"]))


@pytest.fixture(scope="module")
def eager(tiny) -> Engine:
    return loaded("transformers", tiny["llama"])


def compilations(worker: Worker, prompt: str, max_tokens: int) -> int:
    sample = tasks.generate(worker, prompt, max_tokens)
    assert sample.new_tokens == max_tokens
    return sample.reading.compilations


def test_compiling_is_separate_from_loading(loading):
    assert loading.compile_s > 0
    assert loading.load_s > 0
    assert loading.kernel_build_s is None
    assert loading.engine.static_caches == [[1, PROMPT_TOKENS + NEW_TOKENS]]
    assert loading.engine.cuda_graphs == 0  # there are none on the CPU


def test_nothing_that_a_run_does_compiles_again(worker, monkeypatch):
    monkeypatch.setattr(profiling, "REPEATS", 1)
    before = worker.engine.compilations()
    assert before >= 1
    assert compilations(worker, PROMPT, NEW_TOKENS) == 0
    assert tasks.measure_latency(worker, PROMPT, NEW_TOKENS, 1).method == "streamed"
    assert tasks.measure_prefill(worker, PROMPT, 32, 1).prompt_tokens > PROMPT_TOKENS + NEW_TOKENS
    assert len(interleaved(worker, PROMPT, NEW_TOKENS).bare_s) == 2
    assert [found.phase for found in tasks.profile(worker, PROMPT, NEW_TOKENS)] == ["decode", "prefill"]
    assert compilations(worker, PROMPT, 1) == 0
    assert compilations(worker, PROMPT, NEW_TOKENS) == 0
    assert worker.engine.compilations() == before


def test_the_tokens_and_the_logits_are_those_of_transformers(worker, eager):
    ids = eager.tokenizer(PROMPT).input_ids
    answer = eager.answer(ids, NEW_TOKENS)
    assert worker.engine.answer(ids, NEW_TOKENS) == answer
    assert worker.engine.generate(PROMPT, NEW_TOKENS) == eager.generate(PROMPT, NEW_TOKENS)
    ours, theirs = worker.engine.logits(ids, answer), eager.logits(ids, answer)
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_logits_are_those_behind_the_answer_that_is_given(worker, eager):
    """Not behind what the engine would choose itself."""
    ids = eager.tokenizer(PROMPT).input_ids
    given = [(token + 1) % 1000 for token in eager.answer(ids, NEW_TOKENS)]
    assert torch.allclose(worker.engine.logits(ids, given), eager.logits(ids, given), atol=1e-4)


def test_the_static_cache_is_the_pool(worker):
    memory = tasks.measure_memory(worker, PROMPT, NEW_TOKENS)
    a_token = 2 * 2 * 16 * 4  # keys and values, heads, head size, bytes
    assert memory.kv_pool_bytes == a_token * (PROMPT_TOKENS + NEW_TOKENS)
    assert memory.kv_used_bytes == a_token * (PROMPT_TOKENS + NEW_TOKENS - 1)  # the last token is not read again


def test_compiling_again_is_seen(worker):
    """Longer than what the engine was loaded for: another cache, and another graph."""
    assert compilations(worker, PROMPT, NEW_TOKENS + 3) == 1
    assert compilations(worker, PROMPT, NEW_TOKENS + 3) == 0


def test_each_batch_has_its_cache_and_a_window_is_kept(tiny):
    shapes = ((1, 16), (2, 20))
    engine = loaded("transformers_compiled", tiny["mistral"], prompts=[], max_tokens=20, batches=shapes)
    eager = loaded("transformers", tiny["mistral"])
    assert engine.describe().static_caches == [list(shape) for shape in shapes]
    before = engine.compilations()
    for sequences, tokens in [*shapes, *shapes]:
        rows = [[5 + row, *range(100, 107)] for row in range(sequences)]
        assert engine.generate_batch(rows, 1) == eager.generate_batch(rows, 1)
        assert engine.generate_batch(rows, tokens - 8) == eager.generate_batch(rows, tokens - 8)
    assert engine.compilations() == before


def test_one_token_needs_no_compiling(tiny):
    engine = loaded("transformers_compiled", tiny["llama"], max_tokens=1)
    assert engine.compile_s is None
    assert engine.generate(PROMPT, 1).new_tokens == 1
    assert engine.generate(PROMPT * 4, 1).prompt_tokens > PROMPT_TOKENS + 1
    engine.reset_memory_peak()
    engine.generate(PROMPT, 1)
    assert engine.memory().kv_pool_bytes > 0


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("CXX", "no-such-compiler", "no-such-compiler.*C\\+\\+ compiler"),
        ("TORCHDYNAMO_DISABLE", "1", "unset TORCHDYNAMO"),
    ],
)
def test_a_machine_that_cannot_compile_is_one_line(tiny, tmp_path, variable, value, words):
    variables = {variable: value, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "empty")}
    process = WorkerProcess(tmp_path / "worker.log", no_progress, **variables)
    with pytest.raises(MachineError, match=words) as refused, process:
        process.call(tasks.load, "transformers_compiled", load_of(tiny["llama"]))
    assert "\n" not in str(refused.value)
