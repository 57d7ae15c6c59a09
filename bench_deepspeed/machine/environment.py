"""What a result was measured on and with. No host name, no user, no path: results are published."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path

from bench_deepspeed import __version__
from bench_deepspeed.core import command_line
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.paths import ROOT
from bench_deepspeed.measure.records import Environment, Gpu

from . import cgroup
from .software import installed_version, lock, source_digest

PACKAGES = (
    "deepspeed",
    "deepspeed-mii",
    "deepspeed-kernels",
    "torch",
    "transformers",
    "torchao",
    "tokenizers",
    "numpy",
)
GPU_FIELDS = ("name", "compute_cap", "memory.total", "driver_version")


def gpus() -> list[Gpu]:
    """The GPUs that nvidia-smi lists; empty where there is none. Needs no package."""
    output = _output("nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader,nounits")
    rows = [[cell.strip() for cell in line.split(",")] for line in (output or "").splitlines()]
    return [Gpu(r[0], r[1], int(r[2]), r[3]) for r in rows if len(r) == len(GPU_FIELDS) and r[2].isdigit()]


def hidden() -> bool:
    """Whether CUDA_VISIBLE_DEVICES hides every GPU, as an empty value and -1 do."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    return not first or first.startswith("-")


def visible_gpus() -> int:
    """How many GPUs CUDA offers of those that nvidia-smi lists.

    CUDA_VISIBLE_DEVICES counts up to its first entry that names none (CUDA C++ Programming Guide, "CUDA Environment
    Variables"); a GPU may be named by its UUID.
    """
    there, named = len(gpus()), os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return there
    entries = [entry.strip() for entry in named.split(",")]
    offered = takewhile(lambda entry: int(entry) < there if entry.isdigit() else entry[:1].isalpha(), entries)
    return min(there, len(list(offered)))


def require_gpu(flag: str = "-d") -> None:
    """Raises MachineError where `flag` asks for cuda and there is no GPU that can be used."""
    if hidden():
        raise MachineError(f"{flag} cuda, but CUDA_VISIBLE_DEVICES hides every GPU: unset it, or use {flag} cpu")
    if not gpus():
        raise MachineError(f"{flag} cuda, but nvidia-smi shows no GPU: use {flag} cpu, or see `bench.sh doctor`")


def default_device() -> str:
    """cuda where a usable GPU is, else cpu; usable: one that MII's kernels are made for (8.0 or more)."""
    if hidden():
        return "cpu"
    majors = [gpu.capability.split(".")[0] for gpu in gpus()]  # "[N/A]" where the driver does not report it
    return "cuda" if any(major.isdigit() and int(major) >= 8 for major in majors) else "cpu"


def host_facts() -> Environment:
    """The machine and the software, without importing anything heavy."""
    machine = Environment(
        suite=__version__,
        commit=_commit(),
        system=f"{platform.system()} {platform.release()}",
        cpu=_cpu_name(),
        cpu_count=len(allowed_cpus()),
        cpu_quota=cgroup.limits().cpus,
        memory_bytes=memory_bytes(),
        load_average_1min=round(os.getloadavg()[0], 2),
        gpus=gpus(),
        nvcc=nvcc_version(),
        command=command_line.kept(),
        source=source_digest(),
    )
    return machine.updated(software())


def software() -> Environment:
    """This process's Python and its packages; nothing else."""
    versions = {name: installed_version(name) for name in PACKAGES}
    return Environment(python=platform.python_version(), packages=versions, lock=lock())


def torch_facts(device: str) -> Environment:
    """What torch reports of itself, and nothing else; called in the worker, after the engine has loaded."""
    import torch

    from .gpu import NvmlGpu

    facts = Environment(torch_cuda=torch.version.cuda, torch_threads=torch.get_num_threads())
    if device != "cuda":
        return facts
    gpu = NvmlGpu.of_torch()
    return dataclasses.replace(
        facts,
        gpu_used=torch.cuda.get_device_name(),
        driver_cuda=_driver_cuda(),
        gpu_slowdown_c=gpu.slowdown_c() if gpu else None,
    )


def torch_devices(device: str, ranks: int) -> list[str]:
    """The device of each rank: the GPU of its number, as torch names it, or the CPU that all share."""
    if device != "cuda":
        return [device] * ranks
    import torch

    return [f"cuda:{number}, {torch.cuda.get_device_name(number)}" for number in range(ranks)]


def free_memory_bytes(device: str) -> int | None:
    """Free memory, measured without torch: of one GPU, or the host's; None where it is not known.

    The GPU is the first of CUDA_VISIBLE_DEVICES, by nvidia-smi's numbers, where that is set.
    """
    if device == "cuda":
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
        query = ("--query-gpu=memory.free", "--format=csv,noheader,nounits")
        first = (_output("nvidia-smi", f"--id={gpu}", *query) or "").split()[:1]
        return int(first[0]) * 2**20 if first and first[0].isdigit() else None
    return free_host_bytes()


def free_host_bytes() -> int | None:
    """The host's free memory, as far as a container may use it; None where Linux does not report it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        lines = []
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    allowed = cgroup.limits().free_bytes
    return min([*free, *([] if allowed is None else [allowed])], default=None)


def allowed_cpus() -> set[int]:
    """The numbers of the CPUs that this process may run on."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def nvcc_version() -> str | None:
    """nvcc's CUDA version, such as "13.0"; None where there is no nvcc."""
    home = os.environ.get("CUDA_HOME")
    nvcc = str(Path(home) / "bin" / "nvcc") if home else "nvcc"
    words = (_output(nvcc, "--version") or "").replace(",", " ").split()
    return words[words.index("release") + 1] if "release" in words else None


def _driver_cuda() -> str | None:
    """The newest CUDA that the driver runs, from NVML; None where it does not report it."""
    import pynvml

    try:
        pynvml.nvmlInit()
        version = pynvml.nvmlSystemGetCudaDriverVersion()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None
    return f"{version // 1000}.{version % 1000 // 10}"


def _commit() -> str | None:
    """The suite's commit, "+changes" where tracked files differ; BENCH_COMMIT instead, where that is set.

    None where the suite is in another repository, whose commit does not identify it.
    """
    if named := os.environ.get("BENCH_COMMIT"):
        return named.encode("utf-8", "replace").decode()
    top, _, commit = (_git("rev-parse", "--show-toplevel", "HEAD") or "").strip().rpartition("\n")
    if not top or not Path(top).samefile(ROOT):
        return None
    return commit + ("+changes" if (_git("status", "--porcelain", "--untracked-files=no") or "").strip() else "")


def _git(*arguments: str) -> str | None:
    """What git says about the checkout, whoever owns it; None where it fails."""
    return _output("git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}", "-c", "core.fsmonitor=false", *arguments)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_bytes() -> int:
    """The host's memory, or what a container may use of it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(physical, cgroup.limits().memory_bytes or physical)


def _output(*command: str) -> str | None:
    """A command's standard output; None when it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
