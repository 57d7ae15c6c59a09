"""The limits of a real GPU."""

from __future__ import annotations

import pytest
from support import no_progress

from bench_deepspeed.machine import limits

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def found():
    return limits.measure("cuda", "float16", no_progress)


def test_orders_of_magnitude(found):
    """Between the smallest GPU of compute capability 8.0 and one ten times as fast as any of today."""
    assert 1e11 < found.copy_bytes_per_s < 1e14
    assert 1e11 < found.read_bytes_per_s < 1e14
    assert 1e13 < found.matmul_flops_per_s < 1e17
    assert 1e6 < found.cache_bytes < 1e9


def test_the_buffers_are_given_back(found):
    """What is left is the workspace that cuBLAS keeps, tens of megabytes."""
    import torch

    assert torch.cuda.memory_reserved() < limits.BUFFER_BYTES["cuda"] / 10


def test_the_buffer_is_many_times_the_cache(found):
    assert limits._buffer("cuda").nbytes > 8 * found.cache_bytes
