"""The documents: every command works, every link leads somewhere, every list is the code's."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import FENCE, PAGES, ROOT, Bench, InProcess, error_of, saved_load, unwrapped


def commands() -> Iterator[str]:
    """The lines of every ```bash block, continued lines joined."""
    for page in PAGES:
        for language, body in FENCE.findall(page.read_text()):
            if language == "bash":
                yield from filter(None, body.replace("\\\n", "").splitlines())


def run_bench(arguments: list[str], env: dict[str, str], bench: Bench) -> None:
    """Really run what is cheap and writes nothing; of a benchmark, only the plan, which needs no process of its own."""
    env, run = {**env, "HF_HUB_OFFLINE": "1"}, bench
    if arguments[:1] == ["report"]:
        arguments = report_arguments(arguments, bench)
    elif arguments[:1] == ["selftest"]:
        arguments = [*arguments, "-d", "cpu", "--engine", "fake", "--budget", "1", "--output_dir", str(bench.cwd)]
    elif "fake" in arguments:
        arguments = [*arguments, "--output_dir", str(bench.cwd)]
    elif arguments[0] != "doctor":
        run = InProcess(bench.cwd)
        if arguments[0] not in {"models", "completion", "compare", "results"} and "--help" not in arguments:
            arguments = [*arguments, "--dry_run"]
    if "cuda" in arguments:
        env["PATH"] = f"{folder_with_gpu(bench.cwd)}{os.pathsep}{os.environ['PATH']}"
    done = run(*arguments, env=env, cwd=ROOT)
    assert done.returncode == 0 or "inconclusive for" in done.stderr, done  # on a busy machine
    assert "Traceback" not in done.stderr
    assert arguments != ["report", "--check"] or "agree with docs/results" in done.stdout


def report_arguments(arguments: list[str], bench: Bench) -> list[str]:
    """As they stand, but files go to the test's folder."""
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


QUALITY, LOAD = (f"./bench_deepspeed/bench.sh {name} -d cpu -n smollm2" for name in ("quality", "load"))
MEASURED = {QUALITY, LOAD}
"""Commands that really measure, with a small model: their tests below say what they must come to."""


REPORT = "./bench_deepspeed/bench.sh report"
COMPARED_ONLY = {REPORT: f"{REPORT} --check"}
"""A command that would write the documents → the one that compares them."""
TRIED = dict.fromkeys(COMPARED_ONLY.get(command, command) for command in commands() if command not in MEASURED)


@pytest.mark.parametrize("command", TRIED)
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


def test_the_quality_command_compares_precisions_and_writes_both_files(bench, tmp_path, small_models_dir):
    asked = tmp_path / "mine.json"
    asked.write_text(json.dumps({"max_tokens": 6, "questions": [{"prompt": "What is 2 | 2?"}]}))
    _, *arguments = shlex.split(QUALITY)
    flags = ("--precision", "float32,bfloat16", "--questions", asked, "--fail_on_quality")
    done = bench(*arguments, *flags, "--models_dir", small_models_dir, "--output_dir", "o")
    (folder,) = (tmp_path / "o" / "smollm2").iterdir()
    quality = json.loads((folder / "quality.json").read_text())
    assert quality["status"] == "complete"
    assert [c["precision"] for c in quality["candidates"]] == ["float32", "bfloat16"]
    assert [c["verdict"]["ok"] for c in quality["candidates"]] == [True, False]
    assert done.returncode == 5, done.stderr
    assert "bfloat16" in done.stderr.strip().splitlines()[-1]
    assert "What is 2 \\| 2?" in (folder / "quality.md").read_text()
    assert math.isfinite(quality["candidates"][1]["verdict"]["measures"]["early"]["mean_kl"])


def test_the_load_command_serves_one_request_after_the_other(bench, tmp_path, small_models_dir):
    _, *arguments = shlex.split(LOAD)
    short = ("--engine", "transformers", "--prompt_tokens", "8", "-m", "2", "--clients", "2", "--seconds", "1")
    done = bench(*arguments, *short, "--models_dir", small_models_dir, "--output_dir", "out")
    # On a busy machine a request may take longer than the window.
    assert done.returncode == 0 or "no level was measured" in error_of(done.stderr), done
    assert "sequential service: one request at a time" in unwrapped(done.stdout)
    result = saved_load(tmp_path)
    (level,) = result.levels
    spans = sorted((record.first_s, record.last_s) for record in level.records)
    assert all(later[0] >= earlier[1] for earlier, later in zip(spans, spans[1:], strict=False))
    assert {record.new_tokens for record in level.records} == {2}
    assert result.environment.torch_threads >= 1
    bench.require_none_left()


def test_the_commands_that_must_be_there_are():
    found = set(commands())
    assert found >= MEASURED
    wanted = {"./bench_deepspeed/bench.sh -d cuda -n llama", "./bench_deepspeed/bench.sh -r 3 -m 32", "./tests/run.sh"}
    assert wanted <= found


def test_ci_runs_the_tests():
    check_script(".ci/run")
    assert "./tests/run.sh" in (ROOT / ".ci" / "run").read_text()
