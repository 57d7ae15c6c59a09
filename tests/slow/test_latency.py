"""Prefill and decode apart: the real SmolLM2 on the CPU, MII's real asynchronous pipeline, and the arithmetic."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from support import no_progress
from transformers import AutoTokenizer

from bench_deepspeed.core.ports import free_port
from bench_deepspeed.engines.base import Load
from bench_deepspeed.engines.fake import FakeEngine
from bench_deepspeed.engines.mii import MiiEngine, kv_blocks
from bench_deepspeed.measure.records import Sample
from bench_deepspeed.worker import latency, prompts, tasks
from bench_deepspeed.worker.state import Worker

PROMPT = "Write an essay about the transformer model architecture"
NEW_TOKENS = 5
MICROSECOND = 1e-6


@pytest.fixture(scope="module")
def worker(smollm2_models_dir, tmp_path_factory) -> Worker:
    """A worker in this process with the real SmolLM2 in DeepSpeed, which streams as Transformers does."""
    made, model = Worker(no_progress), smollm2_models_dir / "smollm2" / "pretrained"
    logs = tmp_path_factory.mktemp("worker")
    tasks.load(made, "deepspeed", Load(model, "cpu", "float32", logs, [PROMPT], NEW_TOKENS, reserve_tokens=41))
    return made


@pytest.fixture(scope="module")
def tokenizer(smollm2_models_dir):
    return AutoTokenizer.from_pretrained(smollm2_models_dir / "smollm2" / "pretrained")


def test_every_token_of_a_stream_is_timed(worker):
    measured = tasks.measure_latency(worker, PROMPT, NEW_TOKENS, 2)
    assert measured.method == "streamed"
    assert [len(times) for times in (measured.ttft_s, measured.e2e_s, measured.itl_s)] == [2, 2, 2]
    for first, last, gaps in zip(measured.ttft_s, measured.e2e_s, measured.itl_s, strict=True):
        assert len(gaps) == NEW_TOKENS - 1
        assert first > 0
        assert min(gaps) > 0
        assert last == pytest.approx(first + sum(gaps), abs=NEW_TOKENS * MICROSECOND)


def test_one_token_has_no_gap(worker):
    measured = tasks.measure_latency(worker, PROMPT, 1, 1)
    assert measured.ttft_s == measured.e2e_s
    assert measured.itl_s == [[]]


def test_prefill_has_the_tokens_that_were_requested(worker, tokenizer):
    measured = tasks.measure_prefill(worker, PROMPT, 40, 2)
    assert (
        measured.prompt_tokens
        == len(tokenizer(prompts.repeated(prompts.counter(tokenizer), PROMPT, 40)).input_ids)
        == 40
    )
    assert len(measured.seconds) == 2
    assert min(measured.seconds) > 0


def test_prefill_ends_where_the_context_does(tokenizer):
    engine = FakeEngine()
    engine.tokenizer, engine.context_tokens = tokenizer, 16
    asked = []

    def generate(prompt: str, max_tokens: int) -> Sample:
        asked.append((len(tokenizer(prompt).input_ids), max_tokens))
        return Sample(0.25, asked[-1][0], max_tokens)

    measured = latency.prefill(engine, generate, prompt=PROMPT, tokens=512, repetitions=2, seed=0)
    assert asked == [(15, 1)] * 3
    assert (measured.prompt_tokens, measured.seconds) == (15, [0.25, 0.25])


@pytest.mark.parametrize("prompt", [PROMPT, "word " * 400, "変圧器についての随筆を書いてください", "a"])
@pytest.mark.parametrize("tokens", [8, 100])
def test_a_long_prompt_is_the_prompt_again_and_never_too_long(tokenizer, prompt, tokens):
    text = prompts.repeated(prompts.counter(tokenizer), prompt, tokens)
    assert tokens - 3 <= len(tokenizer(text).input_ids) <= tokens
    assert text in (prompt + " ") * (len(text) + 1)


class ForwardOnTheCpu:
    """In place of DeepSpeed's ragged engine, which needs CUDA: its bookkeeping of blocks, and random logits."""

    block = 64
    _policy = SimpleNamespace(_checkpoint_engine=SimpleNamespace(model_config=SimpleNamespace(max_seq_length=2048)))

    def __init__(self, blocks: int, vocab_size: int, config):
        self.blocks, self.vocab_size, self._config = blocks, vocab_size, config
        self.seen: dict[int, int] = {}
        self.fail = False

    @property
    def free_blocks(self) -> list[int]:
        return [self.blocks - sum(-(-tokens // self.block) for tokens in self.seen.values())]

    def put(self, uids, tokens, do_checks: bool):
        import torch

        for uid, new in zip(uids, tokens, strict=True):
            self.seen[uid] = self.seen.get(uid, 0) + new.numel()
        assert self.free_blocks[0] >= 0
        return torch.randn(len(uids), self.vocab_size)

    def query(self, uid: int, tokens: int, max_blocks: int) -> tuple[int, int]:
        have = self.seen.get(uid, 0)
        needed = -(-(have + tokens) // self.block) - -(-have // self.block)
        return (tokens, needed) if needed <= max_blocks else (0, 0)

    def get_remaining_block_capacity(self, uid: int) -> int:
        return self.seen[uid] % self.block

    def flush(self, uid: int) -> None:
        del self.seen[uid]


@pytest.fixture
def streaming_mii(tokenizer, smollm2_models_dir, monkeypatch):
    """MII's own asynchronous pipeline and tokenizer around a forward pass that a CPU can do."""
    import mii
    import torch
    from mii.batching import MIIAsyncPipeline
    from mii.modeling.tokenizers import load_tokenizer

    from bench_deepspeed.engines.mii_tokenizer import TokenizerForMii

    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    config = mii.config.ModelConfig(
        model_name_or_path=str(smollm2_models_dir / "smollm2" / "pretrained"),
        tokenizer=TokenizerForMii(tokenizer),
        zmq_port_number=free_port(),
    )
    forward = ForwardOnTheCpu(kv_blocks(7 + 120, 128), len(tokenizer), config.inference_engine_config)
    engine = MiiEngine()
    engine._streaming = True
    engine.pipeline = MIIAsyncPipeline(inference_engine=forward, tokenizer=load_tokenizer(config), model_config=config)
    engine.pipeline.start()
    yield engine
    engine.close()
    assert engine.pipeline.is_shutdown()
    assert not engine.pipeline.thread.is_alive()
    engine.pipeline.socket.close()


def test_mii_streams_every_token_and_frees_the_pool_for_the_next(streaming_mii):
    for _ in range(3):  # the pool holds one sequence and a block: a second one only when the first is gone
        started = time.perf_counter()
        streamed = streaming_mii.stream("Hello world, how do you do", 120, time.perf_counter)
        times = streamed.times
        assert len(times) == len(streamed.tokens) == 120
        assert sorted(times) == times
        assert times[0] > started
    assert streaming_mii.pipeline.uids == set()


def test_mii_streams_a_single_token(streaming_mii):
    assert len(streaming_mii.stream("Hello", 1, time.perf_counter).times) == 1
