"""MII and Transformers on one GPU at the same time."""

from __future__ import annotations

import pytest

from bench_deepspeed.benchmarks.ab.records import AbResult

pytestmark = pytest.mark.gpu
SHORT = ("ab", "-d", "cuda", "-n", "smollm2", "-m", "16", "--rounds", "3", "--processes", "2", "--warmups", "2")


def compare(bench, folder, *flags: str) -> AbResult:
    done = bench(*SHORT, *flags, "--output_dir", folder)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("smollm2/ab/*/ab.json")
    bench.require_none_left()
    return AbResult.load(path)


@pytest.mark.parametrize("b", ["engine=transformers", "engine=mii precision=bfloat16", "engine=mii"])
def test_both_fit_and_are_timed_interleaved(bench, tmp_path, b):
    result = compare(bench, tmp_path, "--a", "engine=mii", "--b", b)
    assert (result.status, [len(pair) for pair in result.rounds]) == ("complete", [3, 3])
    for of in result.sides.values():
        assert [len(run.samples) for run in of.runs] == [3, 3]
        assert {sample.new_tokens for sample in of.valid_samples} == {16}
        assert of.limits is not None
        others = [sample.reading.other_gpu_processes for sample in of.valid_samples]
        assert all(seen in (0, None) for seen in others), "the partner is counted as a stranger"


def test_the_one_that_waits_is_idle(bench, tmp_path):
    result = compare(bench, tmp_path, "--a", "engine=mii", "--b", "engine=transformers", "-m", "128")
    reported = [cpus for pair in result.rounds for r in pair for cpus in r.idle_cpus.values() if cpus is not None]
    assert reported
    assert max(reported) < 0.5, reported
