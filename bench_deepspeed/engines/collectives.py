"""How the ranks of one engine meet: torch's process group on this machine, and the kernels of its collectives."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.progress import Progress

BUFFERS = Path("/dev/shm")
BUFFER_BYTES = 70_000_000
"""Of each rank there, at most (DeepSpeed 0.19.8, csrc/cpu/comm/shm.cpp); a container may have 64 MiB in all."""
BUFFER = "deepspeed_allreduce_buffer_*"
"""What DeepSpeed names them."""
SETTLED_S = 60
"""A buffer that is older has been opened by its rank, or never will be."""
SHARED_MEMORY = "deepspeed_shm_comm"
"""DeepSpeed's all-reduce in shared memory, for ranks on one CPU."""
LABEL = "building DeepSpeed's CPU collectives (once, a minute or more)"


def join(device: str) -> None:
    """Meet the other ranks, by the variables that `worker.ranks` sets; returns when all have.

    Raises MachineError for a taken port.
    """
    import torch
    from torch import distributed

    own = {}
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        own = {"device_id": torch.device("cuda", torch.cuda.current_device())}
    try:
        distributed.init_process_group("nccl" if device == "cuda" else "gloo", **own)
    except distributed.DistNetworkError as error:
        raise MachineError(
            f"the ranks cannot meet on port {os.environ['MASTER_PORT']}, which another program has taken: "
            f"run it again ({str(error).splitlines()[0][:200]})"
        ) from error
    distributed.barrier()


def agreed(value: Any) -> Any:
    """What rank 0 passes, on every rank that has joined."""
    from torch import distributed

    holder = [value]
    distributed.broadcast_object_list(holder, src=0)
    return holder[0]


def backend() -> str:
    """The library of the process group."""
    from torch import distributed

    return str(distributed.get_backend())


def leave() -> None:
    """Leave the process group, where there is one."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def has_shared_memory(ranks: int, folder: Path = BUFFERS) -> bool:
    """Whether DeepSpeed's all-reduce in shared memory can be compiled here and has room: else gloo's is used."""
    if sys.platform != "linux" or shutil.which(os.environ.get("CXX", "c++")) is None or not folder.is_dir():
        return False
    return shutil.disk_usage(folder).free >= ranks * BUFFER_BYTES


def build_shared_memory(progress: Progress) -> float:
    """Build it where it is not built yet, and return the seconds it took (0.0: nothing to do)."""
    from deepspeed.ops.op_builder import ShareMemCommBuilder
    from filelock import FileLock
    from torch.utils import cpp_extension

    folder = Path(cpp_extension._get_build_directory(SHARED_MEMORY, verbose=False))
    library = folder / f"{SHARED_MEMORY}.so"
    with FileLock(f"{folder}.bench_deepspeed.lock"):
        before, started = _written(library), time.perf_counter()
        (folder / "lock").unlink(missing_ok=True)  # torch waits for ever for what an interrupted build leaves behind
        progress(LABEL, 0, 1)
        ShareMemCommBuilder().load()
        progress(LABEL, 1, 1)
        return 0.0 if _written(library) == before else time.perf_counter() - started


def unlink_buffers(folder: Path = BUFFERS) -> None:
    """Remove the names of these ranks' buffers in shared memory, once all have opened them.

    DeepSpeed never does, and what has a name stays in memory for ever; without one it goes with the last rank, however
    that ends.
    """
    place = f"{os.environ['MASTER_ADDR']}_{os.environ['MASTER_PORT']}"
    for buffer in folder.glob(f"{BUFFER}_{place}_*"):
        buffer.unlink(missing_ok=True)


def unlink_left_buffers(folder: Path = BUFFERS) -> None:
    """Remove this user's buffers that no process has in its memory: of ranks that were killed while they loaded."""
    left = {str(buffer) for buffer in folder.glob(BUFFER) if _is_left(buffer)}
    for maps in Path("/proc").glob("[0-9]*/maps") if left else ():
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            used = maps.read_text(errors="replace")
            left = {name for name in left if name not in used}
    for name in left:
        Path(name).unlink(missing_ok=True)


def _is_left(buffer: Path) -> bool:
    with contextlib.suppress(OSError):
        status = buffer.stat()
        return status.st_uid == os.getuid() and time.time() - status.st_mtime > SETTLED_S
    return False


def _written(file: Path) -> float | None:
    return file.stat().st_mtime if file.exists() else None
