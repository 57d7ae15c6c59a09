"""What surrounds NVML, the kernel's counters and RAPL: names, arithmetic, and what happens where they are not."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

from builders import gpu_that, on_gpu
from support import wait_until

from bench_deepspeed.machine import host

BURN = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"


@contextmanager
def burning_child():
    """A process that has computed for half a second of CPU time, and is still there."""
    child = subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        yield child
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()


def test_processes_of_our_own_on_the_gpu_are_no_others():
    with burning_child() as child:
        gpu = gpu_that(
            ComputeRunningProcesses=on_gpu(os.getpid(), child.pid), GraphicsRunningProcesses=on_gpu(child.pid)
        )
        assert gpu.other_processes() == 0
    assert gpu_that(ComputeRunningProcesses=on_gpu(os.getpid()), GraphicsRunningProcesses=on_gpu(1)).other_processes()


def test_cpu_time_of_descendants_is_our_own_while_they_live_and_after():
    cpus = host.Cpus()
    before = cpus._own_s()
    with burning_child():
        assert cpus._own_s() - before >= 0.45
    assert cpus._own_s() - before >= 0.45


def test_cpu_time_of_a_process_that_is_no_descendant_is_not_our_own(tmp_path):
    cpus = host.Cpus()
    before = cpus._own_s()
    # The shell that started it ends at once.
    burn = "import time, pathlib\nwhile time.process_time() < 1: pass\npathlib.Path('done').touch()"
    subprocess.run(["sh", "-c", '"$0" -c "$1" &', sys.executable, burn], cwd=tmp_path, check=True)
    wait_until((tmp_path / "done").exists)
    assert cpus._own_s() - before < 0.9
