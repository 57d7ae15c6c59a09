"""Folders of weights that are complete or absent, never partial.

A folder is built under a `.partial-` name, its files' digests are written to `complete.json`, and only
then is it renamed into place. What lies in place is checked before every use: sizes and times always,
digests when a time has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench_deepspeed.core.errors import MachineError, WeightsError
from bench_deepspeed.core.json_files import write_atomically
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.core.units import gigabytes

STAMP = "complete.json"


def partial_of(folder: Path) -> Path:
    """Where a folder is built before it is published."""
    return folder.with_name(f".partial-{folder.name}")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(file)


def _sha256(file) -> str:
    digest = hashlib.sha256()  # Python 3.10 has no hashlib.file_digest
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def publish(folder: Path, facts: dict, progress: Progress) -> None:
    """Stamp the partial folder with its files' digests and put it in place in one step.

    `facts` is kept in the stamp: where the weights come from, and what they are.
    """
    partial = partial_of(folder)
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    (partial / STAMP).unlink(missing_ok=True)  # of the damaged folder that a fetch has repaired
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    progress(f"digests of {folder.name}", 0, len(files))
    with ThreadPoolExecutor() as pool:
        digests = []
        for done, digest in enumerate(pool.map(sha256_of, files), start=1):
            digests.append(digest)
            progress(f"digests of {folder.name}", done, len(files))
    entries = {}
    for path, digest in zip(files, digests, strict=True):
        stat = path.stat()
        entries[str(path.relative_to(partial))] = [stat.st_size, stat.st_mtime_ns, digest]
    write_atomically(partial / STAMP, json.dumps({"facts": facts, "files": entries}, indent=1))
    _share(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _share(folder: Path) -> None:
    """Give everything in a folder the modes of new files: some libraries write for their user alone."""
    allowed = ~_umask()
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & allowed)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def stamp_of(folder: Path) -> dict | None:
    """The stamp of a folder that was published, None when there is none."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return stamp if _is_stamp(stamp) else None


def _is_stamp(stamp: object) -> bool:
    if not isinstance(stamp, dict) or not all(isinstance(stamp.get(key), dict) for key in ("facts", "files")):
        return False
    return all(
        is_safe_name(name) and isinstance(entry, list) and [type(value) for value in entry] == [int, int, str]
        for name, entry in stamp["files"].items()
    )


def is_safe_name(name: object) -> bool:
    """Whether a name from outside, joined to a folder, stays below that folder on every system.

    Refuses what climbs or is absolute, backslashes, control characters, and what cannot be encoded.
    """
    if not isinstance(name, str) or "\\" in name or {"", ".", ".."} & set(name.split("/")):
        return False
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in name)


def damage_of(folder: Path) -> str | None:
    """What is wrong with a published folder, in words; None when every file is as it was."""
    stamp = stamp_of(folder)
    if stamp is None:
        return f"{folder} was never completed"
    for name, (size, mtime_ns, digest) in stamp["files"].items():
        path = folder / name
        try:
            stat = path.stat()
        except OSError:
            return f"{path} is missing"
        if stat.st_size != size:
            return f"{path} has {stat.st_size} bytes instead of {size}: it was cut or replaced"
        if stat.st_mtime_ns != mtime_ns and sha256_of(path) != digest:
            return f"{path} was altered: its SHA-256 is not the one recorded"
    return None


def digest_of(folder: Path) -> str:
    """The model's digest: the SHA-256 over its weight files' names and SHA-256s, in order."""
    files = stamp_of(folder)["files"]
    lines = [f"{name} {entry[2]}\n" for name, entry in sorted(files.items()) if name.endswith(".safetensors")]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def free_disk_bytes(folder: Path) -> int:
    """Bytes free on the disk where a folder is or would be."""
    # os.access, not Path.exists: the latter raises where a parent may not be searched.
    existing = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    return shutil.disk_usage(existing).free


def require_disk(folder: Path, needed_bytes: int) -> None:
    """Raise MachineError unless the disk under `folder` has that much free."""
    free = free_disk_bytes(folder)
    if free < needed_bytes:
        raise MachineError(
            f"{folder} needs {gigabytes(needed_bytes)} and the disk has {gigabytes(free)} free: "
            "make room or name another folder with --models_dir"
        )


def require_writable(folder: Path) -> None:
    """Make the folder. Raises MachineError when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise MachineError(
            f"cannot write to {folder} ({error.strerror}): name another folder with --models_dir"
        ) from error


@contextlib.contextmanager
def locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold a model's folder, so that two runs do not build the same weights at once.

    Raises MachineError where the lock's file cannot be opened, as that of another user.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", mode=0o666 & ~_umask())
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"waiting for another run that prepares {folder.name}", 0, 0)
            lock.acquire()
    except OSError as error:
        raise MachineError(
            f"cannot lock {folder / '.lock'} ({error.strerror}): have its owner make it writable, or name another "
            "folder with --models_dir"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk or a failed write into one line (MachineError), a checkpoint that cannot be read too
    (WeightsError)."""
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        raise MachineError(f"writing {folder} failed: {error}") from error
    except SafetensorError as error:
        if "I/O error" in str(error):  # how safetensors reports an error of the system, such as a full disk
            raise MachineError(f"writing {folder} failed: {error}") from error
        raise WeightsError(f"{folder}: {error}") from error
