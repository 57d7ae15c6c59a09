"""The real SmolLM2 through bench.sh, on the CPU, with DeepSpeed, in all parts of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import Bench, error_of
from transformers import AutoTokenizer

from bench_deepspeed.benchmarks.common.scenario import PROMPT
from bench_deepspeed.measure.records import Result
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import store

NEW_TOKENS = 4
FLAGS = ("-d", "cpu", "--precision", "float32", "-r", "2", "-m", str(NEW_TOKENS))
FLAGS += ("--processes", "1", "--warmups", "1", "--no_quality")


@dataclass(frozen=True)
class Outcome:
    """A finished run: what it printed, what it wrote, and whether it touched the weights."""

    stdout: str
    folder: Path
    result: Result
    weights_touched: bool


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, smollm2_models_dir, interruptible) -> Outcome:
    """One run, on which the tests below look from several sides.

    Its models folder is a relative path with a space, and the model in it a link.
    """
    cwd = tmp_path_factory.mktemp("run")
    bench = Bench(cwd)
    pretrained = smollm2_models_dir / "smollm2" / "pretrained"
    (cwd / "my models").mkdir()
    (cwd / "my models" / "smollm2").symlink_to(smollm2_models_dir / "smollm2")
    before = times(pretrained)
    done = bench(*FLAGS, "--engine", "deepspeed", "--output_dir", "out", "--models_dir", "my models")
    assert done.returncode == 0, done.stderr
    bench.require_none_left()
    (folder,) = cwd.glob("out/smollm2/*")
    return Outcome(done.stdout, folder, Result.load(folder / "result.json"), times(pretrained) != before)


def test_the_result_is_complete(outcome):
    result = outcome.result
    assert (result.status, result.error) == ("complete", None)
    assert result.limits is not None
    (run,) = result.runs
    assert [len(sample.host_s) for sample in [*run.warmups, *run.samples]] == [2] * 3
    assert (len(run.warmups), len(run.samples)) == (1, 2)
    assert run.load_s > 0
    assert (len(run.audit.given), run.audit.rest_s is not None) == (3, True)
    assert result.environment.torch_threads >= 1
    assert result.engine.name == result.scenario.engine


def test_the_tokens_are_exact(outcome, smollm2_models_dir):
    tokenizer = AutoTokenizer.from_pretrained(smollm2_models_dir / "smollm2" / "pretrained")
    expected = len(tokenizer(PROMPT).input_ids)
    (run,) = outcome.result.runs
    counts = {(sample.prompt_tokens, sample.new_tokens) for sample in [*run.warmups, *run.samples]}
    assert counts == {(expected, NEW_TOKENS)}
    assert re.search(rf"^prompt \+ new tokens +{expected} \+ {NEW_TOKENS}$", outcome.stdout, re.M)
    assert outcome.result.void_count == 0


def test_the_memory_of_the_weights_is_their_size(outcome):
    memory = outcome.result.memory
    assert memory.weights_bytes == 4 * catalog.load("smollm2").parameters
    assert memory.device_peak_bytes is None
    assert memory.host_peak_bytes > memory.weights_bytes


def test_the_weights_are_named_and_left_alone(outcome, smollm2_models_dir):
    model = outcome.result.model
    assert model["parameters"] == catalog.load("smollm2").parameters
    assert model["source"]["sha256"] == catalog.load("smollm2").source["sha256"]
    assert model["digest"] == store.digest_of(smollm2_models_dir / "smollm2" / "pretrained")
    assert not outcome.weights_touched


def test_the_files_are_there(outcome):
    names = {"performance.log", "result.json", "worker.log", "profile.png", "profile.svg", "profile.txt"}
    assert names <= {path.name for path in outcome.folder.iterdir()}
    log = (outcome.folder / "performance.log").read_text(encoding="utf-8")
    assert f"result smollm2 {outcome.result.scenario.engine} cpu float32: " in log
    assert log.endswith(" status complete\n")


def test_what_is_longer_than_the_context_is_one_line(bench, tmp_path, small_models_dir):
    places = ("--models_dir", small_models_dir, "--output_dir", "out")
    done = bench(*FLAGS, "-p", "two words", "-m", "8191", "--engine", "transformers", *places)
    assert (done.returncode, done.stdout) == (2, "")
    message = error_of(done.stderr)
    assert "context is 8192" in message
    assert "--max_tokens" in message
    (path,) = tmp_path.glob("out/smollm2/*/result.json")
    result = Result.load(path)
    assert (result.status, result.error, result.valid_samples) == ("failed", message, [])
