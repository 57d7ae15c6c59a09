"""A fresh clone on a Python without any package: help, refusals, and the way to setup.sh."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

from bench_deepspeed.cli.commands import COMMANDS

RESULT = ROOT / "docs" / "results" / "smollm2-mii-float16-h100.json"
NEEDS_SETUP = {
    "run": ("-d", "cpu"),
    "quality": ("-d", "cpu"),
    "report": (),
    "selftest": ("-d", "cpu"),
    "referee": (),
    "sweep": ("-d", "cpu"),
    "load": ("-d", "cpu"),
    "compare": (RESULT, RESULT),
    "results": ("--output_dir", "runs"),
    "ab": ("-d", "cpu", "--a", "engine=deepspeed", "--b", "engine=transformers"),
    "prepare": ("-d", "cpu"),
    "completion": ("bash",),
    "models": ("add", "owner/name"),
}
NEEDS_NOTHING = {
    "models": (),
    "run": ("-d", "cpu", "--dry_run"),
    "quality": ("-d", "cpu", "--dry_run"),
    "load": ("-d", "cpu", "--dry_run"),
    "selftest": ("-d", "cpu", "--dry_run"),
    "sweep": ("-d", "cpu", "--dry_run"),
    "referee": ("--dry_run",),
    "ab": ("-d", "cpu", "--a", "engine=deepspeed", "--b", "engine=transformers", "--dry_run"),
    "doctor": (),
    "results": ("--output_dir", "none"),
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout without .venv, in which setting up fails, and says so."""
    checkout = tmp_path_factory.mktemp("clone") / "checkout"
    checkout.mkdir()
    shutil.copytree(
        ROOT / "bench_deepspeed", checkout / "bench_deepspeed", ignore=shutil.ignore_patterns("__pycache__")
    )
    (checkout / "models").mkdir()
    for path in (ROOT / "models").glob("*.*"):
        shutil.copy(path, checkout / "models")
    shutil.copy(ROOT / "requirements.txt", checkout)
    setup = checkout / "setup.sh"
    setup.write_text('#!/bin/sh\necho "setup.sh: reached $*" >&2\nexit 3\n')
    setup.chmod(0o755)
    return checkout


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user whose python3 has the standard library and nothing else."""
    folder = tmp_path_factory.mktemp("python") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "BENCH_PYTHON": "", "PYTHONPATH": ""}


@pytest.fixture
def fresh(bench, clone):
    """bench.sh of the clone."""
    bench.script = clone / "bench_deepspeed" / "bench.sh"
    return bench


def test_the_bare_python_has_no_package(bare_python):
    code = "from importlib.metadata import distributions; print([one.name for one in distributions()])"
    environment = {**os.environ, **bare_python}
    command = [shutil.which("python3", path=bare_python["PATH"]), "-c", code]
    assert subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(fresh, bare_python, command):
    done = fresh(command, "--help", env=bare_python)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: bench.sh")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_refuses_a_wrong_flag(fresh, bare_python, command):
    required = {"ab": ("--a", "", "--b", ""), "completion": ("bash",)}.get(command, ())
    assert "--nonsense" in fresh.refusal(2, command, *required, "--nonsense", env=bare_python)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"doctor", "models"}])
def test_each_command_that_needs_packages_sets_them_up(fresh, bare_python, command):
    run = fresh.cwd / "runs" / "smollm2" / "2026-01-01T00-00-00"  # with none, `results` needs nothing installed
    run.mkdir(parents=True)
    shutil.copy(RESULT, run / "result.json")
    done = fresh(command, *NEEDS_SETUP[command], env=bare_python)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "setup.sh: reached " + ("--light" if COMMANDS[command].light else ""),
        "bench.sh: error: the environment could not be set up (see above)",
    ]


@pytest.mark.parametrize(("command", "arguments"), NEEDS_NOTHING.items())
def test_what_needs_no_package_is_done_without(fresh, bare_python, command, arguments):
    done = fresh(command, *arguments, env=bare_python)
    assert "Traceback" not in done.stderr
    assert "setup.sh" not in done.stderr
    assert done.returncode == 0 or command == "doctor"  # which exits as the machine is
    assert done.stdout


@pytest.mark.parametrize("depth", [1, 2])
def test_a_link_to_bench_sh_starts_the_suite_from_anywhere(fresh, bare_python, tmp_path, depth):
    target = fresh.script
    for number in range(depth):
        link = tmp_path / f"link {number}"
        link.symlink_to(target if number == 0 else os.path.relpath(target, tmp_path))
        target = link
    fresh.script = target
    done = fresh("results", "--output_dir", "none", env=bare_python)
    assert (done.returncode, done.stderr) == (0, "")


def test_variables_for_other_programs_do_not_keep_the_suite_from_starting(fresh, bare_python, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "argparse.py").write_text("raise ImportError('foreign')")
    (tmp_path / "bench_deepspeed").mkdir()  # where CDPATH would lead
    variables = {"CDPATH": str(tmp_path), "PYTHONHOME": str(foreign), "PYTHONPATH": str(foreign)}
    command = [os.path.relpath(fresh.script, fresh.script.parents[1]), "results", "--output_dir", "none"]
    environment = {**os.environ, **bare_python, **variables}
    done = subprocess.run(
        command, env=environment, cwd=fresh.script.parents[1], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
