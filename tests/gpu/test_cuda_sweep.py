"""Batches through MII's pipeline on a real GPU."""

from __future__ import annotations

import pytest

from bench_deepspeed.benchmarks.sweep.records import SweepResult

pytestmark = pytest.mark.gpu


def sweep(bench, folder, *flags: str) -> SweepResult:
    done = bench("sweep", "-d", "cuda", "-n", "smollm2", "--processes", "1", *flags, "--output_dir", folder)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("smollm2/*/sweep.json")
    return SweepResult.load(path)


@pytest.mark.parametrize("engine", ["mii", "deepspeed", "transformers"])
def test_every_batch_has_exactly_its_tokens(bench, tmp_path, engine):
    axes = ("--batch_sizes", "1,3,16", "--prompt_tokens", "64,1000", "--max_tokens", "16")
    found = sweep(bench, tmp_path, "--engines", engine, *axes, "-r", "2")
    assert [scenario.reason for scenario in found.scenarios] == 6 * [None]
    assert len(found.loads) == 1


def test_more_sequences_than_mii_decodes_by_default(bench, tmp_path):
    """600: beyond its 512 sequences a pass, which the engine raises; 1000: beyond its 768 tokens too."""
    found = sweep(bench, tmp_path, "--batch_sizes", "600,1000", "--prompt_tokens", "32", "--max_tokens", "8", "-r", "1")
    assert [scenario.status for scenario in found.scenarios] == ["complete", "complete"]


def test_what_does_not_fit_is_refused_and_the_rest_measured(bench, tmp_path):
    axes = ("--batch_sizes", "2,20000", "--prompt_tokens", "8000", "--max_tokens", "8")
    found = sweep(bench, tmp_path, *axes, "-r", "1")
    assert [scenario.status for scenario in found.scenarios] == ["complete", "refused"]
    assert "KV cache" in found.scenarios[1].reason
