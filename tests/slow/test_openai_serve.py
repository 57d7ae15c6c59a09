"""`load --target openai` against a real server that this project did not write: `transformers serve` with SmolLM2."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import no_progress, wait_until

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.load import token_counts
from bench_deepspeed.benchmarks.load.records import Level, Workload
from bench_deepspeed.benchmarks.load.session import Session
from bench_deepspeed.benchmarks.load.targets.base import Server, Setup
from bench_deepspeed.core.ports import free_port
from bench_deepspeed.model import catalog

START_S = 180


@pytest.fixture(scope="module")
def folder(smollm2_models_dir: Path) -> Path:
    """SmolLM2 as Transformers reads it."""
    want = weights.Want("pretrained", "transformers", "float32", 0)
    return weights.prepare(smollm2_models_dir, catalog.load("smollm2"), want, no_progress).folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Where the server listens."""
    pytest.importorskip("openai", reason="transformers serve needs it")
    port = free_port()
    start = "from transformers.cli.transformers import main; main()"
    command = [sys.executable, "-c", start, "serve", str(folder), "--device", "cpu", "--port", str(port)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_until(lambda: process.poll() is not None or _answers(f"http://127.0.0.1:{port}/health"), START_S)
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def measured(url: str, folder: Path, api: str, tokenizer: bool) -> tuple[dict, Level]:
    """The server as it is described, and a level of one client."""
    server = Server(url, api, model=str(folder))
    setup = Setup("openai", folder if tokenizer else None, "remote", "as served", folder, 4, 120.0, server=server)
    session = Session("openai", setup, Workload(12, 4, 0.0, 1.0, 120.0, 0), no_progress)
    try:
        session.warm_up()
        return session.describe(), session.level(1, None, 1.0)
    finally:
        session.close()


@pytest.mark.parametrize(("api", "tokenizer"), [("completions", True), ("chat", False)])
def test_a_real_server_is_measured(url, folder, api, tokenizer):
    described, level = measured(url, folder, api, tokenizer)
    assert described["fields"] == {
        "temperature": 0.0,
        "stream_options": {"include_usage": True},
    }  # it refuses all others
    assert (described["lengths"], described["answers_repeat"]) == ("as they come", True)
    assert level.records
    for record in level.records:
        assert (record.error, record.new_tokens, record.counted_by) == (None, 4, "usage")
        assert record.due_s <= record.sent_s < record.first_s < record.last_s
        assert not token_counts.contradicts(record)
        assert record.tokenizer_tokens == (4 if tokenizer else None)
        assert record.prompt_tokens == 12 if tokenizer else record.prompt_tokens > 12  # a template is around a chat
    assert level.token_chunks is True
    assert level.check is not None
    assert level.check.first_differences == [None] * len(level.check.records)
