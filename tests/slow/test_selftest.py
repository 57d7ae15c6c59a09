"""The self-test: its interval, its verdicts, and the whole of it with the fake engine and a real one."""

from __future__ import annotations

from support import check_selftest as check
from support import selftest_report as report_of


def test_a_real_engine(bench, tmp_path, smollm2_models_dir):
    flags = ("-d", "cpu", "-n", "smollm2", "--engine", "transformers", "-m", "2", "--budget", "2")
    done = bench("selftest", *flags, "--output_dir", "out", "--models_dir", smollm2_models_dir)
    check(done, report_of(tmp_path), "transformers, smollm2")
    bench.require_none_left()
