"""The limits of this machine's CPU, measured; and what of that can be known without a clock."""

from __future__ import annotations

import torch

from bench_deepspeed.machine import limits
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess


def test_a_worker_measures_the_cpu(tmp_path):
    """Orders of magnitude, between which the slowest busy machine and the fastest lie."""
    seen = []
    with WorkerProcess(tmp_path / "worker.log", lambda *progress: seen.append(progress)) as worker:
        found = worker.call(tasks.measure_limits, "cpu", "float32")
    assert 1e8 < found.copy_bytes_per_s < 1e13
    assert 1e8 < found.read_bytes_per_s < 1e13
    assert 1e8 < found.matmul_flops_per_s < 1e15
    assert found.precision == "float32"
    assert 0.05 <= found.cpu_share <= 1.0
    assert found.bytes_per_s == max(found.copy_bytes_per_s, found.read_bytes_per_s)
    assert [done for _, done, total in seen if total == 3] == [0, 1, 2, 3]


def test_no_layer_of_a_decode_step_is_faster_than_the_limit_in_bfloat16():
    """The products of a step are those of a vector, for which torch has other code than for the limit's matrices."""
    weights, values = (torch.randn(rows, 1024).bfloat16() for rows in (1024, 1))
    step_s = limits._best_s(lambda: torch.nn.functional.linear(values, weights), "cpu")
    assert limits.matmul_flops_per_s("cpu", "bfloat16") > 2 * weights.numel() / step_s
