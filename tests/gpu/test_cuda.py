"""What only a GPU can prove: the pipeline of DeepSpeed-MII on real weights."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.gpu
SHORT = ("-d", "cuda", "-n", "smollm2", "-r", "2", "-m", "16", "--warmups", "1", "--no_quality")
SHORT += ("--processes", "1")


@pytest.mark.parametrize("engine", ["mii", "deepspeed", "transformers"])
def test_engine_generates_exactly_what_was_requested(bench, tmp_path, engine):
    done = bench(*SHORT, "--engine", engine, "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("smollm2/*/result.json")
    result = json.loads(path.read_text())
    run = result["runs"][0]
    assert result["status"] == "complete"
    assert [sample["new_tokens"] for sample in run["samples"]] == [16, 16]
    assert result["memory"]["device_peak_bytes"] > result["memory"]["weights_bytes"] > 0
    audit = run["audit"]
    assert len(audit["given"]) == 3  # a warm-up and two repetitions
    assert {len(ids) for ids in audit["token_ids"]} == {16}
    assert max(audit["gaps"]) < 0.1
    assert audit["rest_s"] is not None
    assert audit["read_s"] < 0.05


def test_prompt_beyond_the_context_is_refused_before_mii_sees_it(bench, tmp_path):
    done = bench(*SHORT, "-p", "word " * 9000, "--output_dir", tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()[-1:]) == 1
    assert "context" in done.stderr


def test_mii_is_as_near_to_float32_as_its_precision_allows(bench, tmp_path):
    done = bench(
        "quality",
        "-d",
        "cuda",
        "-n",
        "smollm2",
        "--precision",
        "float16",
        "--fail_on_quality",
        "--output_dir",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("smollm2/*/quality.json")
    (candidate,) = json.loads(path.read_text())["candidates"]
    assert candidate["verdict"]["ok"]
    assert all(kl < 1.0 for answer in candidate["engine"] for kl in answer["early"]["kl"])
    forced_alike = [answer for answer in candidate["engine"] if answer["early"]["top1_agreement"] == 1.0]
    assert forced_alike
    assert all(answer["exact_match"] for answer in forced_alike)
