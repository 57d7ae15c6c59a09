"""The self-test with MII: that it runs and reports, on a machine that may be busy."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.gpu


def test_the_overhead_of_the_suite_around_mii(bench, tmp_path):
    done = bench("selftest", "-d", "cuda", "-n", "smollm2", "--budget", "20", "--output_dir", tmp_path)
    assert done.returncode in (0, 1), done.stderr
    (path,) = tmp_path.glob("selftest/*/selftest.json")
    *_, nested, in_turn = json.loads(path.read_text())["comparisons"]
    assert (nested["name"], in_turn["name"]) == ("mii, smollm2, nested", "mii, smollm2, interleaved")
    assert all(whole > inner for whole, inner in zip(nested["harness_s"], nested["bare_s"], strict=True))
    assert len(in_turn["harness_s"]) == len(in_turn["bare_s"]) >= 16
    assert (done.returncode == 0) <= (nested["verdict"] == "pass")
