"""When a process is warm, when there are enough processes, and whether the interval means what it says."""

from __future__ import annotations

import subprocess
import sys

from support import ROOT


def test_the_study_says_how_it_is_used():
    command = [sys.executable, "-m", "bench_deepspeed.simulations.coverage", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--check" in done.stdout
