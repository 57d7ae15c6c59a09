"""The self-test: its interval, its verdicts, and the whole of it with the fake engine and a real one."""

from __future__ import annotations

from support import check_selftest as check
from support import selftest_report as report_of


def test_the_fake_engine_through_the_whole_harness(bench, tmp_path):
    done = bench("selftest", "-d", "cpu", "--engine", "fake", "--budget", "2", "--output_dir", "out")
    report = report_of(tmp_path)
    check(done, report, "fake, smollm2")
    assert report["environment"]["suite"]
    assert (report["status"], report["error"]) == ("complete", None)
    assert report["scenario"]["engine"] == "fake"
    bench.require_none_left()
