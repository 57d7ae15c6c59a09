"""What a format needs in addition to the standard library."""

from __future__ import annotations

from importlib import util

from bench_deepspeed.core.errors import MachineError

DRAWING = ("altair", "vl_convert")


def require(what: str, *packages: str) -> None:
    """Raises MachineError, which names `what` needs them, where one of the packages is not installed."""
    missing = [name for name in packages if util.find_spec(name) is None]
    if missing:
        raise MachineError(f"{what} needs {', '.join(missing)}: install requirements.txt")
