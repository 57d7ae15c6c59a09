"""Limits that a shell or a batch system sets: one line, a documented exit code, and what was measured is saved."""

from __future__ import annotations

import json
import signal

import pytest
from support import BENCH, error_of

RUN = ("-d", "cpu", "--engine", "fake", "--processes", "1", "--warmups", "0", "-m", "2", "--output_dir", "out")


def limited(bench, limit: str, *arguments: str, seconds: float = 0.002):
    """Run bench.sh under a limit of the shell's."""
    env = {"BENCH_FAKE": json.dumps({"seconds": [seconds]})}
    words = ("-c", f'ulimit {limit}; exec "$0" "$@"', BENCH, *RUN, *arguments)
    return bench.finish(bench.start(*words, program="bash", env=env))


@pytest.mark.parametrize("files", [6, 8, 10])
def test_few_open_files_are_the_machines_lack(bench, tmp_path, files):
    done = limited(bench, f"-n {files}", "-r", "1")
    assert done.returncode == 3, done
    assert "raise the limit of open files (ulimit -n)" in error_of(done.stderr)
    assert {json.loads(path.read_text())["status"] for path in tmp_path.rglob("result.json")} <= {"failed"}
    bench.require_none_left()


def test_a_limit_of_memory_that_numpy_would_wait_under_for_ever_is_refused(bench, tmp_path):
    done = limited(bench, "-v 250000", "-r", "1")
    assert done.returncode == 3, done
    assert "the limit of memory (ulimit -v) is 0.26 GB, and the packages reserve" in error_of(done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_at_the_limit_of_cpu_time_what_was_measured_is_saved(bench, tmp_path):
    done = limited(bench, "-t 2", "-r", "100000", seconds=0.0)
    assert "Traceback" not in done.stderr
    (path,) = tmp_path.rglob("result.json")
    result = json.loads(path.read_text())
    if result["status"] == "interrupted":  # this process reached it first
        assert done.stderr.splitlines()[-1] == "bench.sh: the limit of CPU time (ulimit -t) is reached"
        assert done.returncode == 152
    else:  # the worker did; this one may reach it while it ends
        assert result["status"] == "failed"
        assert "the engine's process reached the limit of CPU time (ulimit -t)" in error_of(done.stderr)
        assert done.returncode in (1, 152, -signal.SIGXCPU)
    bench.require_none_left()


def test_a_limit_of_a_files_size_leaves_no_cut_code_behind(bench, tmp_path):
    """Python writes a compiled file as far as the limit, and would end with EOFError at each later start."""
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    words = ("-c", 'ulimit -f 1; exec "$0" "$@"', BENCH, "sweep", "--help")
    for command in (words, (*words[:2], BENCH, "models")):
        assert "Traceback" not in bench.finish(bench.start(*command, program="bash", env=compiled)).stderr
    for command in (("sweep", "--help"), ("models",)):
        done = bench(*command, env=compiled)
        assert (done.returncode, done.stderr) == (0, "")
