"""Prefill and decode apart: the real SmolLM2 on the CPU, MII's real asynchronous pipeline, and the arithmetic."""

from __future__ import annotations

import subprocess
import sys


def test_a_thread_that_fails_ends_the_process():
    code = """
import threading, time
from bench_deepspeed.engines.mii import _end_process
threading.excepthook = _end_process
threading.Thread(target=lambda: 1 / 0).start()
time.sleep(600)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
