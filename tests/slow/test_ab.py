"""`bench.sh ab`: order, statistics, verdicts, failures, signals, and two real engines at once."""

from __future__ import annotations

import pytest
from support import saved_ab as saved
from support import unwrapped

from bench_deepspeed.benchmarks.ab import estimate

FAKE = ("ab", "-d", "cpu", "--output_dir", "out", "-m", "8")


# Real engines.


def test_two_real_engines_at_once(bench, tmp_path, small_models_dir, small_script):
    sides = ("--a", "engine=deepspeed", "--b", "engine=transformers")
    bench.script = small_script
    flags = ("-n", "small", "-m", "8", "--processes", "1", "--rounds", "2", "--warmups", "1")
    done = bench(*FAKE[:5], *sides, *flags, "--models_dir", small_models_dir, env={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done
    result = saved(tmp_path)
    assert result.status == "complete"
    assert result.a.model["digest"] == result.b.model["digest"]
    for of in result.sides.values():
        assert [len(run.samples) for run in of.runs] == [2]
        assert {(sample.prompt_tokens, sample.new_tokens) for sample in of.valid_samples} == {(8, 8)}
        assert of.limits.read_bytes_per_s > 0
        assert of.limits == result.a.limits  # both have the same precision and variables: measured once
        assert of.engine.reads_weights
        assert [max(run.audit.gaps) for run in of.runs] == [pytest.approx(0.0, abs=4e-3)]
    assert estimate.verdict(estimate.ratio(estimate.log_ratios(result))) in unwrapped(done.stdout)
    bench.require_none_left()
