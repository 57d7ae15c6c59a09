"""The command line, as a process: help, refusals, `--dry_run`, and what it imports."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
from support import BENCH, LIBRARIES, ROOT, STATISTICS, InProcess, gpu_path, imported_by, unwrapped

from bench_deepspeed.benchmarks.common import scenario as cli
from bench_deepspeed.benchmarks.sweep import plan as sweep_plan
from bench_deepspeed.cli import parser
from bench_deepspeed.machine import environment
from bench_deepspeed.machine.python_env import LIGHT, NEEDED

RESULT = str(ROOT / "docs" / "results" / "smollm2-mii-float16-h100.json")
FAKE_RUN = ("-d", "cpu", "--engine", "fake", "--processes", "1", "-r", "1", "-m", "2", "--warmups", "0")
FAKE_RUN += ("--output_dir", "out")


@pytest.mark.parametrize("command", ["run", "quality", "doctor", "report", "compare", "results"])
def test_each_command_has_help(bench, command):
    done = bench(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: bench.sh")


def test_a_missing_python_is_one_line(bench):
    assert "BENCH_PYTHON" in bench.refusal(3, "-h", env={"BENCH_PYTHON": "no-such-python"})


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("doctor", "--help"),
        ("sweep", "--help"),
        ("--version",),
        ("-d", "cpu", "--dry_run", "-n", "llama"),
        FAKE_RUN,
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_the_parent_imports_nothing_heavy(tmp_path, arguments):
    heavy = LIBRARIES if arguments == FAKE_RUN else LIBRARIES | STATISTICS  # what is measured has to be judged
    modules = imported_by(*arguments, cwd=tmp_path)
    assert {name.split(".")[0] for name in modules} & heavy == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", RESULT, RESULT),
        ("report", RESULT, "--format", "csv"),
        ("report", RESULT, "--format", "html", "--output", "page.html"),
        ("results", "--output_dir", "out"),
        ("completion", "bash"),
    ],
    ids=" ".join,
)
def test_what_reads_results_needs_nothing_that_measures(tmp_path, arguments):
    modules = {name.split(".")[0] for name in imported_by(*arguments, cwd=tmp_path)}
    assert modules & (set(NEEDED) - set(LIGHT)) == set()


def test_dry_run_on_a_gpu_names_the_conversion(bench, tmp_path):
    """SmolLM2 for MII: an output head of its own, and three KV heads repeated three times, in float16."""
    folder = tmp_path / "bin"
    folder.mkdir()
    env = gpu_path(folder, "Big GPU, 9.0, 143771, 570.1")
    done = bench("-n", "smollm2", "--models_dir", "weights", "--dry_run", env=env)
    assert done.returncode == 0, done
    extra = 49152 * 576 + 2 * 30 * (2 * 3 * 64 * 576)  # the head; of K and V in 30 layers twice three heads
    words = f"convert to float16 for MII: download nothing, write {2 * (134515008 + extra) / 1e9:.2f} GB"
    assert words in unwrapped(done.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


@pytest.mark.parametrize("folder", ["my results", "ünïcode/été", "../{name}/up"], ids=["space", "accents", "up"])
def test_relative_folders_are_below_the_users_folder(bench, tmp_path, folder):
    folder = folder.format(name=tmp_path.name)
    done = bench(*FAKE_RUN[:-1], folder, "-lf", f"{folder}/a log.txt")
    assert done.returncode == 0, done.stderr
    (result,) = (tmp_path / folder).glob("smollm2/*/result.json")
    assert str(result.resolve().relative_to(tmp_path)) in done.stdout
    assert (tmp_path / folder / "a log.txt").read_text(encoding="utf-8").count(" repetition 1/1: ") == 1


def test_a_checkout_in_a_folder_with_spaces(bench, tmp_path):
    checkout = tmp_path / "my check out"
    rubbish = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "bench_deepspeed", checkout / "bench_deepspeed", ignore=rubbish)
    (checkout / "models").mkdir()
    shutil.copy(ROOT / "models" / "smollm2.json", checkout / "models")
    bench.script = checkout / "bench_deepspeed" / "bench.sh"
    done = bench(*FAKE_RUN[:-2], env={"BENCH_COMMIT": "abc"})
    assert done.returncode == 0, done.stderr
    (result,) = checkout.glob("logs/smollm2/*/result.json")
    assert '"commit": "abc"' in result.read_text(encoding="utf-8")


def test_a_module_in_the_users_folder_is_not_imported(bench, tmp_path):
    """Python 3.10 knows no safe path, so there the newer interpreter's promise is not made."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    done = bench("--version")
    wrong = done.returncode != 0 and "the wrong json" in done.stderr
    assert wrong == (sys.version_info < (3, 11))


@pytest.mark.parametrize("arguments", [("--help",), ("-d", "cpu", "--dry_run")], ids=["help", "dry run"])
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_output_into_a_closed_pipe_is_no_traceback(tmp_path, arguments, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [str(BENCH), *arguments],
            env={**os.environ, "BENCH_PYTHON": sys.executable, "PYTHONUNBUFFERED": unbuffered},
            cwd=tmp_path,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == ""
    assert done.returncode in (0, 128 + signal.SIGPIPE)  # argparse hides that its help went nowhere


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], "smollm2 deepspeed cpu float32", id="none"),
        pytest.param(["Big GPU, 9.0, 143771, 570.1"], "llama mii cuda float16", id="new"),
        pytest.param(["Very New GPU, 12.0, 97887, 580.1"], "llama mii cuda float16", id="two digits"),
        pytest.param(["Old GPU, 7.5, 15360, 535.1"], "smollm2 deepspeed cpu float32", id="too old for MII"),
        pytest.param(["Odd GPU, [N/A], 15360, 535.1"], "smollm2 deepspeed cpu float32", id="capability unknown"),
    ],
)
def test_the_default_device_is_one_that_mii_can_use(tmp_path, monkeypatch, rows, expected):
    for name, value in gpu_path(tmp_path, *rows).items():
        monkeypatch.setenv(name, value)
    scenario = cli.scenario_of(parser.parse([]))
    assert f"{scenario.model} {scenario.engine} {scenario.device} {scenario.precision}" == expected


@pytest.mark.parametrize("hidden", ["", "-1", " ", "-1,0"])
def test_gpus_that_are_hidden_are_not_the_default_and_the_reason_is_named(tmp_path, monkeypatch, hidden):
    for name, value in {**gpu_path(tmp_path, "Big GPU, 9.0, 143771, 570.1"), "CUDA_VISIBLE_DEVICES": hidden}.items():
        monkeypatch.setenv(name, value)
    assert cli.scenario_of(parser.parse([])).device == "cpu"
    assert sweep_plan.settings_of(parser.parse(["sweep"])).device == "cpu"
    for command in ("run", "sweep", "quality", "load"):
        refused = InProcess(tmp_path).refusal(3, command, "-d", "cuda")
        assert refused == "-d cuda, but CUDA_VISIBLE_DEVICES hides every GPU: unset it, or use -d cpu"


@pytest.mark.parametrize(
    ("visible", "free"),
    [(None, 1000), ("1", 2000), ("1,0", 2000), ("GPU-two", 2000), ("", None), ("-1", None)],
)
def test_free_memory_is_that_of_the_visible_gpu(tmp_path, monkeypatch, visible, free):
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\ncase $1 in --id=0) echo 1000;; --id=1|--id=GPU-two) echo 2000;; *) exit 6;; esac\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment.free_memory_bytes("cuda") == (free and free * 2**20)
