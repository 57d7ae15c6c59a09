"""The client of a persistent deployment, through MII's own gRPC servers and balancer; the model is a stand-in."""

from __future__ import annotations

import pytest

from bench_deepspeed.benchmarks.load.targets.serve import gpu_number, servers
from bench_deepspeed.core.errors import MachineError


def test_which_process_is_which():
    """The launcher carries the model server's command line too, behind its own."""
    python = ["python", "-m", "mii.launch.multi_gpu_server"]
    launcher = ["python", "deepspeed", "-i", "localhost:0", "--no_python", " ".join(python)]
    commands = {"a": launcher, "b": [*python, "--server-port", "1"], "c": [*python, "--load-balancer"]}
    assert servers(commands) == {"model server": "b", "load balancer": "c"}


def test_the_gpu_is_the_first_visible_one():
    assert [gpu_number(visible) for visible in ("", "0", "3", "2,1")] == [0, 0, 3, 2]
    with pytest.raises(MachineError, match="by its number"):
        gpu_number("GPU-1234")
