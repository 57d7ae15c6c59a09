"""`bench.sh report`: tables that are their evidence, and nothing but."""

from __future__ import annotations

from support import ROOT


def test_the_repository_agrees_with_its_evidence(bench):
    done = bench("report", "--check", cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "agree with docs/results" in done.stdout
