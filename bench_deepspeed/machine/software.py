"""What code ran: every distribution that this Python has installed, and the suite's own files."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench_deepspeed.core.paths import PACKAGE, ROOT

if TYPE_CHECKING:
    from importlib.metadata import Distribution


def lock() -> str:
    """ "name==version" of every distribution on this process's path, by name, a space between.

    Names are normalized (PEP 503). Of two of one name the first on the path counts, which is the one that is imported.
    """
    from importlib import metadata  # 12 ms that --help does not need

    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        facts = _facts(distribution)
        if name := facts.get("Name"):  # None: what a distribution left behind when it was removed
            versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), facts.get("Version", ""))
    return " ".join(f"{name}=={version}" for name, version in sorted(versions.items()))


def installed_version(package: str) -> str | None:
    """A package's version, None where it is not installed."""
    from importlib import metadata

    try:
        return _facts(metadata.distribution(package)).get("Version")
    except metadata.PackageNotFoundError:
        return None


def _facts(distribution: Distribution) -> dict[str, str]:
    """The name and version of a distribution; only the head of its metadata is parsed: all of a hundred takes 0.1 s."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return dict(re.findall(r"^(Name|Version): *(\S+)", text.partition("\n\n")[0], re.MULTILINE))


@cache
def source_digest() -> str:
    """The digest of the suite's own code, as it was when this process first asked."""
    return digest_of(ROOT / PACKAGE)


def digest_of(folder: Path) -> str:
    """SHA-256 of a line "<file> <SHA-256 of the file>" for each Python file below a folder, in the order of the names.

    It identifies what measured also where the commit has "+changes".
    """
    import hashlib  # 8 ms that --help does not need

    files = sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix())
    lines = (
        f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in files
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
