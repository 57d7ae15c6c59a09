"""`--json` and `--quiet`, and the commands that measure nothing: `models`, `prepare`, `completion`."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from bench_deepspeed.cli.commands import COMMANDS
from bench_deepspeed.model import catalog

FAKE = ("-d", "cpu", "--engine", "fake", "--processes", "1", "-r", "2", "-m", "2", "--warmups", "0")


def test_the_result_alone_is_on_stdout_and_nothing_on_stderr(bench, tmp_path):
    done = bench(*FAKE, "--json", "--quiet", "--output_dir", "out")
    assert (done.returncode, done.stderr) == (0, "")
    (path,) = tmp_path.rglob("result.json")
    assert done.stdout == path.read_text()
    assert json.loads(done.stdout)["status"] == "complete"


def test_without_quiet_the_table_is_on_stderr(bench):
    done = bench(*FAKE, "--json", "--output_dir", "out")
    assert json.loads(done.stdout)["status"] == "complete"
    assert "fake" in done.stderr
    assert "result  out" in done.stderr


def test_of_a_run_that_failed_what_was_measured_is_printed(bench):
    done = bench(*FAKE, "--json", "--output_dir", "out", env={"BENCH_FAKE": '{"die_at": 1}'})
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "failed"


def test_a_plan_is_no_result(bench):
    assert "--dry_run makes none" in bench.refusal(2, "--json", "--dry_run")


def test_models_names_each_and_whether_it_fits(bench):
    done = bench("models")
    assert (done.returncode, done.stderr) == (0, "")
    for name in catalog.names():
        spec = catalog.load(name)
        assert f"{name:<10}{spec.title}" in done.stdout
        assert spec.licence in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_prepare_makes_the_weights_ready_for_a_gpu_that_is_not_there(bench, tmp_path):
    """Of the fake engine there are none; what is fetched and converted is tested with the hub."""
    assert "reads no weights" in bench.refusal(2, "prepare", "--engine", "fake", "-d", "cpu")
    (tmp_path / "file").touch()
    message = bench.refusal(3, "prepare", "-n", "smollm2", "-d", "cuda", "--models_dir", "file/below")
    assert "cannot write to file/below" in message


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_a_script_of_that_shell_with_every_command(bench, shell):
    done = bench("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert [name for name in COMMANDS if name not in done.stdout] == []
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)


def test_bash_completes_flags_and_choices(bench, tmp_path):
    (tmp_path / "completion").write_text(bench("completion", "bash").stdout)
    words = "source completion; COMP_WORDS=(bench.sh sweep --en); COMP_CWORD=2; _shtab_bench_sh bench.sh --en sweep"
    command = ["bash", "-c", words + '; echo "${COMPREPLY[@]}"']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "--engines\n"
