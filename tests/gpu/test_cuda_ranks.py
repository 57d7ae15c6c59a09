"""Two ranks on two GPUs: what only they can prove."""

from __future__ import annotations

import json

import pytest
from support import error_of, sweep_of, wait_until

pytestmark = pytest.mark.gpu
SHORT = ("-d", "cuda", "-n", "llama", "--weights", "random", "--tensor_parallel", "2", "-r", "2", "-m", "16")
SHORT += ("--warmups", "1", "--processes", "1")


@pytest.fixture(autouse=True)
def two_gpus() -> None:
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("fewer than two GPUs")


@pytest.mark.parametrize("engine", ["mii", "deepspeed", "transformers"])
def test_two_ranks_compute_what_the_model_s_logits_prefer(bench, tmp_path, engine):
    done = bench(*SHORT, "--engine", engine, "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    bench.require_none_left()
    (path,) = tmp_path.glob("llama/*/result.json")
    result = json.loads(path.read_text())
    (run,) = result["runs"]
    assert max(run["audit"]["gaps"]) < 0.1
    assert len(result["engine"]["rank_devices"]) == len(set(result["engine"]["rank_devices"])) == 2
    assert all(len(sample["reading"]["other_ranks"]) == 1 for sample in run["samples"])
    assert result["limits"]["devices"] == 2
    memory = result["memory"]
    assert len(memory["ranks"]) == 2
    assert memory["device_peak_bytes"] == sum(rank["device_peak_bytes"] for rank in memory["ranks"])
    assert all(rank["weights_bytes"] < 0.6 * memory["weights_bytes"] for rank in memory["ranks"])
    if result["energy"] is not None:
        assert result["energy"]["source"] == "NVML, 2 whole GPUs"


@pytest.mark.parametrize("engine", ["mii", "deepspeed"])
def test_answers_of_two_ranks_are_within_the_noise_floor(bench, tmp_path, engine):
    """Over nine heads that two ranks cannot share out evenly."""
    flags = ("quality", "-d", "cuda", "-n", "smollm2", "--engine", engine, "--tensor_parallel", "2")
    done = bench(*flags, "--precision", "float16", "--fail_on_quality", "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("smollm2/*/quality.json")
    assert json.loads(path.read_text())["tensor_parallel"] == 2


@pytest.mark.parametrize("engine", ["mii", "deepspeed", "transformers"])
def test_a_rank_that_is_killed_ends_the_run_and_leaves_no_memory_in_use(bench, tmp_path, engine):
    import torch

    before = [torch.cuda.mem_get_info(number)[0] for number in range(2)]
    process = bench.start(*SHORT, "-r", "10000", "--engine", engine, "--output_dir", tmp_path)
    log = wait_until(lambda: next(tmp_path.glob("llama/*/performance.log"), None))
    wait_until(lambda: "repetition 1/" in log.read_text(), 600)
    (rank,) = [found for found in bench.processes() if found.environ().get("RANK") == "1"]
    rank.kill()
    done = bench.finish(process)
    assert done.returncode == 1
    assert error_of(done.stderr).startswith("rank 1 of 2 was killed")
    bench.require_none_left()
    room = 1 << 28
    wait_until(lambda: all(torch.cuda.mem_get_info(n)[0] > before[n] - room for n in range(2)), 30)


def test_a_sweep_shows_the_efficiency_against_one_gpu(bench, tmp_path):
    flags = ("sweep", "-d", "cuda", "-n", "llama", "--weights", "random", "--tensor_parallel", "1,2")
    flags += ("--batch_sizes", "1,16", "--prompt_tokens", "128", "--max_tokens", "32", "--processes", "2")
    done = bench(*flags, "--output_dir", "out")
    assert done.returncode == 0, done.stderr
    assert {scenario.status for scenario in sweep_of(tmp_path).scenarios} == {"complete"}
    assert set(sweep_of(tmp_path).limits) == {"float16", "float16, 2 GPUs"}
    assert "Scaling over ranks" in done.stdout
