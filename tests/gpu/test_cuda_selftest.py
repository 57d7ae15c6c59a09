"""The self-test with MII: that it runs and reports, on a machine that may be busy."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.gpu


def test_the_overhead_of_the_suite_around_mii(bench, tmp_path):
    done = bench("selftest", "-d", "cuda", "-n", "smollm2", "--budget", "20", "--output_dir", tmp_path)
    assert done.returncode in (0, 1), done.stderr
    (path,) = tmp_path.glob("selftest/*/selftest.json")
    real = json.loads(path.read_text())["comparisons"][-1]
    assert real["name"] == "mii, smollm2"
    assert len(real["harness_s"]) == len(real["bare_s"]) >= 16
    assert (done.returncode == 0) <= (real["verdict"] == "pass")
