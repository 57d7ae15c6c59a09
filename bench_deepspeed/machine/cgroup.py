"""What a container may use of its machine: the limits of this process's control group and of those around it.

Version 2: `cpu.max` and `memory.max` (kernel.org, "Control Group v2"); version 1: `cpu.cfs_quota_us` and
`memory.limit_in_bytes`. Needs the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NO_LIMIT_BYTES = 1 << 60
"""Version 1 writes the largest number of pages where there is no limit."""


@dataclass(frozen=True)
class Limits:
    """CPUs that may be used at once on average, memory and what is free of it in bytes; None without a limit."""

    cpus: float | None = None
    memory_bytes: int | None = None
    free_bytes: int | None = None


def limits(root: Path = Path("/")) -> Limits:
    """The smallest limits from this process's group up to the root; `root` stands for / in tests."""
    cpus, memory, free = [], [], []
    for folder in _folders(root):
        if quota := _cpus(folder):
            cpus.append(quota)
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        if limit is None or limit >= NO_LIMIT_BYTES:
            continue
        memory.append(limit)
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
        free.append(max(0, limit - used + _reclaimable(folder)))
    return Limits(min(cpus, default=None), min(memory, default=None), min(free, default=None))


def _folders(root: Path) -> list[Path]:
    """The folders of this process's groups and of the groups around them.

    In a container /proc/self/cgroup may name a group as the host sees it, which is not there: what is there counts.
    """
    mount = root / "sys" / "fs" / "cgroup"
    folders = []
    for line in (_text(root / "proc" / "self" / "cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for base in {mount / controllers, *(mount / name for name in controllers.split(","))}:
            place = base / path.lstrip("/")
            folders += [folder for folder in (place, *place.parents) if folder == base or folder.is_relative_to(base)]
    return list(dict.fromkeys(folders))


def _cpus(folder: Path) -> float | None:
    version_1 = [_text(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    quota, _, period = (_text(folder / "cpu.max") or " ".join(version_1)).partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _reclaimable(folder: Path) -> int:
    """Bytes of the page cache that the kernel gives back before it kills: those of files not used lately."""
    facts = dict(line.partition(" ")[::2] for line in (_text(folder / "memory.stat") or "").splitlines())
    size = facts.get("total_inactive_file") or facts.get("inactive_file") or ""
    return int(size) if size.isdigit() else 0


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text and text.isdigit() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
