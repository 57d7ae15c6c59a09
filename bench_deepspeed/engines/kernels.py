"""MII's CUDA kernels, built before the pipeline loads.

`mii.pipeline` would build the three modules one after another and report any compile error as an
unsupported configuration. Here they are built at the same time, and an error is the compiler's own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.progress import Progress

MODULES = {  # DeepSpeed's builder → the extension it makes
    "InferenceCoreBuilder": "inference_core_ops",
    "RaggedOpsBuilder": "ragged_ops",
    "RaggedUtilsBuilder": "ragged_device_ops",
}
LABEL = "building MII's CUDA kernels (once, about 90 s)"


def build(capability: tuple[int, int], log_folder: Path, progress: Progress) -> float:
    """Build what is not built yet, and return the seconds it took (0.0: nothing to do).

    Raises MachineError with the compiler's first error and the path of its whole output.
    """
    from filelock import FileLock

    # Some images preset a list such as "9.0a", which DeepSpeed 0.19.8 cannot parse.
    os.environ["TORCH_CUDA_ARCH_LIST"] = "{}.{}".format(*capability)
    if shutil.which("nvcc") is None and "CUDA_HOME" not in os.environ:
        raise MachineError("nvcc is not there: MII compiles its kernels; install the CUDA toolkit or set CUDA_HOME")
    root = _extensions_root()
    root.mkdir(parents=True, exist_ok=True)
    wanted = {"deepspeed": metadata.version("deepspeed"), "arch": os.environ["TORCH_CUDA_ARCH_LIST"]}
    stamp = root / "bench_deepspeed.json"
    with FileLock(root / "bench_deepspeed.lock"):
        if _is_built(root, stamp, wanted):
            return 0.0
        started = time.perf_counter()
        for extension in MODULES.values():
            # torch waits forever on the lock that an interrupted build leaves behind.
            (root / extension / "lock").unlink(missing_ok=True)
        _build_all(log_folder, progress)
        stamp.write_text(json.dumps(wanted))
        return time.perf_counter() - started


def _extensions_root() -> Path:
    from torch.utils import cpp_extension

    return Path(cpp_extension._get_build_directory(next(iter(MODULES.values())), verbose=False)).parent


def _is_built(root: Path, stamp: Path, wanted: dict) -> bool:
    try:
        built = json.loads(stamp.read_text())
    except (OSError, ValueError):
        return False
    return built == wanted and all((root / name / f"{name}.so").exists() for name in MODULES.values())


def _build_all(log_folder: Path, progress: Progress) -> None:
    jobs = max(1, (os.cpu_count() or 1) // len(MODULES))
    running = {}
    for builder in MODULES:
        log = log_folder / f"kernels-{builder}.log"
        code = f"from deepspeed.ops.op_builder import {builder} as Builder; Builder().load()"
        with log.open("wb") as output:
            running[builder] = (
                subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "MAX_JOBS": os.environ.get("MAX_JOBS", str(jobs))},
                ),
                log,
            )
    total = len(running)
    while running:
        progress(LABEL, total - len(running), total)
        for builder, (process, log) in list(running.items()):
            if process.poll() is None:
                continue
            del running[builder]
            if process.returncode != 0:
                for other, _ in running.values():
                    other.terminate()
                raise MachineError(f"MII's kernels do not compile: {_first_error(log)} (all of it: {log})")
        time.sleep(0.5)
    progress(LABEL, total, total)


def _first_error(log: Path) -> str:
    """The first line that looks like an error, else the last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line.lower() or line.startswith(("ValueError", "RuntimeError"))]
    return (errors or lines[-1:] or ["no output"])[0][:300]
