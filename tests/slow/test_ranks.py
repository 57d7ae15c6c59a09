"""Two ranks with real collectives on the CPU: a random Llama of two layers, split by each engine that can split it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from support import no_progress, save_tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig

from bench_deepspeed.benchmarks.sweep import batches
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.engines import collectives
from bench_deepspeed.engines.base import Load
from bench_deepspeed.worker import latency, tasks
from bench_deepspeed.worker.client import WorkerProcess
from bench_deepspeed.worker.process import Rank
from bench_deepspeed.worker.ranks import variables

PROMPT, TOKENS = "deep speed deep", 8
WITHOUT_COMPILER = {"CXX": "none", "OMP_NUM_THREADS": "1"}
"""DeepSpeed's all-reduce in shared memory takes a minute to compile; gloo's is as real."""
ROWS = {"batch_size": 2, "prompt_tokens": 4, "max_tokens": 4, "warmups": 1, "repetitions": 1, "seed": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three heads for AutoTP cannot be shared out evenly over two ranks; four, for Transformers, can."""
    return tmp_path_factory.mktemp("models")


def model(folder: Path, kv_heads: int) -> Path:
    """A random model, and its greedy answer to the prompt in a file next to it."""
    place = folder / f"kv-{kv_heads}"
    if place.exists():
        return place
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=96,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2 * kv_heads,
        num_key_value_heads=kv_heads,
        head_dim=16,
        max_position_embeddings=1024,
        initializer_range=0.2,  # answers that differ from token to token
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    save_tokenizer(place)
    return place


def greedy(place: Path, ids: list[int]) -> list[int]:
    """The answer of the whole model in this process."""
    whole = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).eval()
    ids = torch.tensor([ids])
    with torch.inference_mode():
        new = whole.generate(input_ids=ids, max_new_tokens=TOKENS, do_sample=False, eos_token_id=None, pad_token_id=2)
    return new[0, ids.shape[1] :].tolist()


@pytest.fixture(scope="module", params=[("deepspeed", 3), ("transformers", 2)], ids=lambda param: param[0])
def loaded(request, folder, tmp_path_factory) -> Iterator[tuple[WorkerProcess, tasks.Loaded, Path]]:
    """Rank 0 of two, its engine loaded."""
    engine, kv_heads = request.param
    place = model(folder, kv_heads)
    logs = tmp_path_factory.mktemp("logs")
    settings = Load(
        place, "cpu", "float32", logs, prompts=[PROMPT], max_tokens=TOKENS, reserve_tokens=16, tensor_parallel=2
    )
    with WorkerProcess(logs / "worker.log", no_progress, **WITHOUT_COMPILER) as worker:
        yield worker, worker.load(engine, settings), place


def test_two_ranks_answer_as_the_whole_model(loaded):
    worker, facts, place = loaded
    assert (facts.engine.tensor_parallel, facts.engine.collectives) == (2, "gloo")
    assert facts.engine.rank_devices == ["cpu", "cpu"]
    assert worker.call(tasks.stream, PROMPT, TOKENS).tokens == greedy(place, [3, 4, 3])
    worker.call(tasks.generate, PROMPT, TOKENS)
    audit = worker.call(tasks.check_timed, TOKENS, 0)
    assert max(audit.gaps) < 1e-3  # the logits, computed again by both ranks, prefer the timed tokens


def test_each_rank_holds_its_part_and_the_memory_is_their_sum(loaded):
    worker, facts, place = loaded
    memory = worker.call(tasks.measure_memory, PROMPT, TOKENS)
    assert len(memory.ranks) == 2
    assert memory.weights_bytes == sum(rank.weights_bytes for rank in memory.ranks)
    whole = sum(p.nbytes for p in AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).parameters())
    assert all(rank.weights_bytes < 0.8 * whole for rank in memory.ranks)
    # The keys and values of all heads, each on one rank: as much as on one rank.
    heads = 3 if facts.engine.name == "deepspeed" else 2
    assert memory.kv_used_bytes == 2 * 2 * heads * 16 * 4 * (3 + TOKENS - 1)


def test_a_port_that_another_program_has_taken_is_named(monkeypatch):
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        monkeypatch.setattr(os, "environ", {**os.environ, **variables(Rank(0, 2), other.getsockname()[1])})
        with pytest.raises(MachineError, match="^the ranks cannot meet on port .* which another program has taken"):
            collectives.join("cpu")


def test_batches_and_the_pass_for_latency_run_on_both(loaded):
    worker, _, _ = loaded
    times = worker.call(batches.measure, **ROWS)
    assert (len(times.prefill), len(times.total), times.check.fewest_tokens) == (1, 1, 4)
    assert max(times.check.gaps) < 1e-3
    assert len(worker.call(tasks.measure_latency, PROMPT, TOKENS, latency.PASS_REPETITIONS).ttft_s) == 3


def test_a_rank_that_is_killed_in_a_collective_ends_the_other(loaded):
    """The last test on these ranks."""
    worker, _, _ = loaded
    (other,) = [process for process in psutil.Process().children(recursive=True) if _rank(process) == "1"]
    pending = worker.send(tasks.measure_latency, PROMPT, 500, 100)
    other.kill()
    with pytest.raises(BenchError, match="^rank 1 of 2 was killed.* exit code 137"):
        pending.result()


def _rank(process: psutil.Process) -> str | None:
    return process.environ().get("RANK")
