"""Checks of the GPU, and of all that kernels for it are compiled with."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from collections import Counter
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from bench_deepspeed.machine.environment import nvcc_version
from bench_deepspeed.machine.software import installed_version
from bench_deepspeed.measure.records import Gpu

from .line import MISSING, NOTE, OK, WARNING, Line, is_ok

DRIVERS = {11: 450, 12: 525, 13: 580}  # CUDA's major version → the first driver branch that runs it
REQUIRED = {"driver", "torch", "nvcc", "C++ compiler"}  # the names of the checks apart from the GPU's own


def torch_cuda() -> str | None:
    """The CUDA that torch was built with, such as "13.0"; "" for a build without, None where torch is not there.

    Read from its version.py, as importing torch would take seconds.
    """
    spec = util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    version = Path(spec.origin).with_name("version.py")
    match = re.search(r"^cuda\b.*=\s*['\"]([\d.]+)['\"]", version.read_text(), re.MULTILINE)
    return match[1] if match else ""


def check_cuda(gpus: list[Gpu], cuda: str | None) -> Iterator[Line]:
    """The GPUs and, where there are any, all that MII and torch.compile need as well."""
    yield from check_gpus(gpus)
    if gpus:
        yield check_driver(gpus[0].driver, cuda)
        yield check_torch(cuda)
        yield check_nvcc(nvcc_version(), cuda)
        yield check_triton(installed_version("triton"), cuda)
    yield check_compiler()


def check_gpus(gpus: list[Gpu]) -> Iterator[Line]:
    if not gpus:
        if shutil.which("nvidia-smi"):
            remedy = "run nvidia-smi by hand and fix what it reports; until then runs are on the CPU"
            yield Line(MISSING, "GPU", "nvidia-smi is installed but lists no GPU", remedy)
        else:
            remedy = "runs are on the CPU; for CUDA, a GPU of compute capability 8.0 or more and NVIDIA's driver"
            yield Line(MISSING, "GPU", "nvidia-smi shows none", remedy)
    for gpu, count in Counter(gpus).items():
        detail = f"{count} × {gpu.name}, compute capability {gpu.capability}, {gpu.memory_mib / 1024:.0f} GiB"
        if suits_mii(gpu):
            yield Line(OK, "GPU", detail)
        else:
            yield Line(WARNING, "GPU", detail, "MII needs 8.0 or more: here, -d cuda --engine transformers or -d cpu")


def suits_mii(gpu: Gpu) -> bool:
    """Whether MII's kernels are made for it; old drivers say "[N/A]" for the capability."""
    number = re.fullmatch(r"(\d+)\.\d+", gpu.capability)
    return number is not None and int(number[1]) >= 8


def check_driver(driver: str, cuda: str | None) -> Line:
    major, needed = _major(driver), DRIVERS.get(_major(cuda))
    if major and needed and major < needed:
        detail = f"{driver}, and torch's CUDA {cuda} needs {needed} or newer"
        return Line(MISSING, "driver", detail, "update NVIDIA's driver, or use -d cpu")
    return Line(OK, "driver", driver)


def check_torch(cuda: str | None) -> Line:
    if cuda is None:
        return Line(NOTE, "torch", "not installed yet: its CUDA is compared with driver and nvcc once it is")
    if not cuda:
        remedy = "unset PIP_EXTRA_INDEX_URL and run ./setup.sh --force, or use -d cpu"
        return Line(MISSING, "torch", "a build without CUDA, which cannot use the GPU", remedy)
    return Line(OK, "torch", f"built with CUDA {cuda}")


def check_nvcc(nvcc: str | None, cuda: str | None) -> Line:
    """MII compiles its kernels at first use, and torch refuses an nvcc of another major version."""
    toolkit = f"the CUDA toolkit {_major(cuda)}.x" if cuda else "the CUDA toolkit"
    remedy = f"install {toolkit} and put nvcc in PATH or set CUDA_HOME; or use --engine transformers"
    if nvcc is None:
        return Line(MISSING, "nvcc", "not there, and MII compiles its kernels", remedy)
    if cuda and _major(nvcc) != _major(cuda):
        return Line(MISSING, "nvcc", f"{nvcc}, and torch was built with CUDA {cuda}", remedy)
    return Line(OK, "nvcc", nvcc)


def check_triton(version: str | None, cuda: str | None) -> Line:
    """torch.compile writes its kernels for the GPU in it; torch's CUDA build brings it along."""
    if version is None and cuda:
        return Line(WARNING, "triton", "not there, and torch.compile needs it", "run ./setup.sh --force, or use MII")
    return Line(OK if version else NOTE, "triton", version or "comes with torch's CUDA build")


def check_compiler() -> Line:
    """What MII's kernels need apart from nvcc, and torch.compile on any device: a C++ compiler and Python's headers."""
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        remedy = "install g++ (MII and torch.compile need it), or set CXX"
        return Line(MISSING, "C++ compiler", f"no {compiler}", remedy)
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        return Line(MISSING, "C++ compiler", f"{compiler}, but no {header}", "on Debian, install python3-dev")
    return Line(OK, "C++ compiler", f"{compiler}, with Python's headers")


def _major(version: str | None) -> int | None:
    number = re.match(r"\d+", version or "")
    return int(number[0]) if number else None


def usable_device(checks: list[Line]) -> str:
    """cuda where a GPU and all else that MII needs are there, else cpu."""
    lacking = {check.name for check in checks if check.status in {WARNING, MISSING}}
    return "cuda" if is_ok(checks, "GPU") and not lacking & REQUIRED else "cpu"
