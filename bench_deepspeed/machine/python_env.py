"""Switches from the Python that started the suite to the one with the pinned packages."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from importlib import util

from bench_deepspeed.core import signals
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.paths import SETUP, VENV
from bench_deepspeed.core.units import gigabytes

LIGHT = ("diptest", "numpy", "pydantic", "scipy", "shtab", "tabulate")
"""What reads saved results and shows them; figures and the page say themselves what they need."""
NEEDED = ("torch", "transformers", "accelerate", "deepspeed", "safetensors", "huggingface_hub", "gguf", "filelock")
NEEDED += (*LIGHT, "psutil", "rapidfuzz", "tqdm", "yaml")
WHOLE = "has all packages"
"""What a Python prints that has: a program that is none may end with 0 as well."""
RESERVED, RESERVED_PER_THREAD, MOST_THREADS = 500_000_000, 64_000_000, 64
"""Bytes of addresses that NumPy takes when it is imported. Its OpenBLAS, 32 MB and a stack for each thread, asks for
more for ever where the limit leaves none."""


def require_address_space() -> None:
    """Refuse a limit of memory that the packages cannot be imported under. Raises MachineError."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    from .environment import allowed_cpus  # not at each start

    needed = RESERVED + RESERVED_PER_THREAD * min(MOST_THREADS, len(allowed_cpus()))
    if limit < needed:
        raise MachineError(
            f"the limit of memory (ulimit -v) is {gigabytes(limit)}, and the packages reserve {gigabytes(needed)} of "
            "addresses when they are imported: raise it"
        )


def require_packages(python: str) -> None:
    """Refuse another Python that cannot run a worker. Raises MachineError with what it lacks."""
    code = (
        "import sys; from importlib import util; sys.version_info >= (3, 10) or sys.exit('is older than Python 3.10'); "
        f"lacks = [name for name in {NEEDED!r} if util.find_spec(name) is None]; "
        f"lacks and sys.exit('lacks ' + ', '.join(lacks)); print({WHOLE!r})"
    )
    done = subprocess.run([python, "-c", code], check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0 or done.stdout.strip() != WHOLE:
        reason = (done.stderr.strip().splitlines() or ["is no Python"])[-1]
        raise MachineError(f"{python} {reason}: a comparison needs requirements.txt there, in whatever versions")


def ensure_environment(argv: list[str], keep_python: bool, light: bool = False) -> None:
    """Set up .venv where it is missing or stale, and go on in its Python; with `light`, what reads results alone.

    With `keep_python` (--no_setup, or BENCH_PYTHON), only check that this Python has what is needed.
    Raises MachineError. May not return: the process is replaced by one of .venv's Python.
    """
    if keep_python:
        missing = [name for name in (LIGHT if light else NEEDED) if util.find_spec(name) is None]
        if missing:
            raise MachineError(
                f"{sys.executable} lacks {', '.join(missing)}: install requirements.txt there, "
                "or leave out --no_setup and BENCH_PYTHON to have .venv set up"
            )
        return
    code = subprocess.run([str(SETUP), *(["--light"] if light else [])], check=False).returncode
    if code != 0:
        raise MachineError("the environment could not be set up (see above)")
    if sys.prefix != str(VENV):
        python = str(VENV / "bin" / "python")
        signal.pthread_sigmask(signal.SIG_BLOCK, signals.SIGNALS)  # until the other Python handles them
        os.execv(python, [python, "-m", "bench_deepspeed", *argv])
