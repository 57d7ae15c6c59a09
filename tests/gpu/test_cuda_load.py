"""What only a GPU can prove of a load test: MII's deployment and its asynchronous pipeline, asked by many at a time."""

from __future__ import annotations

import json
import subprocess

import pytest
from support import ROOT, wait_until

from bench_deepspeed.benchmarks.load.records import LoadResult

pytestmark = pytest.mark.gpu
DEPLOYED_S = 600  # a fresh machine builds MII's kernels before it serves, and reads torch from a cold disk
SMALL = ("-d", "cuda", "-n", "smollm2", "--prompt_tokens", "64", "-m", "16", "--spread", "30%", "--seconds", "5")


@pytest.mark.parametrize("target", ["async", "serve", "mii_openai"])
def test_every_request_brings_its_tokens(target, bench, tmp_path):
    flags = ("--target", target, "--clients", "1,8", "--rates", "4", "--models_dir", ROOT / "models")
    done = bench("load", *SMALL, *flags, "--output_dir", "out")
    assert done.returncode == 0, done
    (path,) = tmp_path.glob("out/smollm2/load/*/load.json")
    result = LoadResult.load(path)
    assert [level.name for level in result.levels] == ["1 client", "8 clients", "4 requests/s"]
    for level in result.levels:
        assert level.records
        assert all(record.error is None for record in level.records)
        if target != "mii_openai":  # its text is tokenized again, which need not give as many
            assert all(record.new_tokens == record.max_tokens for record in level.records)
        assert level.energy.joules > 0
        assert all(record.due_s <= record.sent_s < record.first_s for record in level.records)
    assert result.levels[1].tokens_in_window > result.levels[0].tokens_in_window  # it batches
    bench.require_none_left()


def serving(bench, folder) -> subprocess.Popen:
    """A load test of a deployment, past its first level."""
    flags = ("--target", "serve", "--clients", "1,2,4,8", "--models_dir", ROOT / "models", "--output_dir", "out")
    process = bench.start("load", *SMALL, *flags)

    def measured_one() -> bool:
        assert process.poll() is None, bench.finish(process)
        return any(json.loads(path.read_text())["levels"] for path in folder.glob("out/smollm2/load/*/load.json"))

    wait_until(measured_one, DEPLOYED_S)
    return process


def test_a_deployment_is_gone_after_the_command_was_killed(bench, tmp_path):
    process = serving(bench, tmp_path)
    assert len(bench.processes()) > 3
    process.kill()
    bench.finish(process)
    wait_until(lambda: bench.processes() == [])


def test_a_deployment_that_loses_its_model_server_is_reported(bench, tmp_path):
    process = serving(bench, tmp_path)
    servers = [
        p for p in bench.processes() if "--server-port" in p.cmdline() and "multi_gpu_server" in str(p.cmdline())
    ]
    servers[-1].kill()
    done = bench.finish(process)
    assert done.returncode == 1
    assert "a process of the deployment ended" in done.stderr
    bench.require_none_left()
