"""The documents: every command works, every link leads somewhere, every list is the code's."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import FENCE, PAGES, ROOT, Bench


def commands() -> Iterator[str]:
    """The lines of every ```bash block, continued lines joined."""
    for page in PAGES:
        for language, body in FENCE.findall(page.read_text()):
            if language == "bash":
                yield from filter(None, body.replace("\\\n", "").splitlines())


def run_bench(arguments: list[str], env: dict[str, str], bench: Bench) -> None:
    """Really run what is cheap and writes nothing; of a benchmark, only the plan."""
    env = {**env, "HF_HUB_OFFLINE": "1"}
    if arguments[:1] == ["report"]:
        arguments = report_arguments(arguments, bench)
    elif arguments[:1] == ["quality"]:
        asked = bench.cwd / "questions.json"
        asked.write_text('{"max_tokens": 2, "questions": [{"prompt": "Hello"}]}')
        arguments = [*arguments, "--questions", str(asked), "--output_dir", str(bench.cwd)]
    elif arguments[:1] == ["load"]:
        short = ["--clients", "1", "--seconds", "0.5", "--prompt_tokens", "4", "-m", "2"]
        arguments = [*arguments, *short, "--output_dir", str(bench.cwd)]
    elif arguments[:1] == ["selftest"]:
        arguments = [*arguments, "-d", "cpu", "--engine", "fake", "--budget", "1", "--output_dir", str(bench.cwd)]
    elif "fake" in arguments:
        arguments = [*arguments, "--output_dir", str(bench.cwd)]
    elif arguments[:1] not in (["doctor"], ["compare"], ["results"]) and "--help" not in arguments:
        arguments = [*arguments, "--dry_run"]
    if "cuda" in arguments:
        env["PATH"] = f"{folder_with_gpu(bench.cwd)}{os.pathsep}{os.environ['PATH']}"
    done = bench(*arguments, env=env, cwd=ROOT)
    assert done.returncode == 0 or "not shown for" in done.stderr, done  # a busy machine shows nothing
    assert "Traceback" not in done.stderr


def report_arguments(arguments: list[str], bench: Bench) -> list[str]:
    """As they stand, but the documents are compared only, and files go to the test's folder."""
    if "--format" not in arguments:
        return ["report", "--check"]
    if "--output" in arguments:
        place = arguments.index("--output") + 1
        arguments[place] = str(bench.cwd / arguments[place])
    return arguments


def folder_with_gpu(folder: Path) -> Path:
    """A folder for PATH whose nvidia-smi lists a GPU, on whatever machine the tests run."""
    script = folder / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'NVIDIA Test, 9.0, 81920, 580.1'\n")
    script.chmod(0o755)
    return folder


def check_script(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", script], cwd=ROOT, check=True)


def check_pip(arguments: list[str]) -> None:
    files = [value for flag, value in itertools.pairwise(arguments) if flag == "-r"]
    assert files
    assert [name for name in files if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("command", dict.fromkeys(commands()))
def test_commands_work(command, bench):
    words = shlex.split(command, comments=True)
    settings = list(itertools.takewhile(lambda word: re.match(r"\w+=", word), words))
    env = dict(setting.split("=", 1) for setting in settings)
    env.pop("BENCH_PYTHON", None)  # the tests' own
    program, *arguments = words[len(settings) :]
    if program == "./bench_deepspeed/bench.sh":
        run_bench(arguments, env, bench)
    elif program == "pip":
        check_pip(arguments)
    else:
        assert program in {"./setup.sh", "./tests/run.sh"}, "no check is known for this command"
        check_script(program)


def test_the_commands_that_must_be_there_are():
    found = set(commands())
    wanted = {"./bench_deepspeed/bench.sh -d cuda -n llama", "./bench_deepspeed/bench.sh -r 3 -m 32", "./tests/run.sh"}
    assert wanted <= found


def test_ci_runs_the_tests():
    check_script(".ci/run")
    assert "./tests/run.sh" in (ROOT / ".ci" / "run").read_text()
