"""What the cache of huggingface_hub has of a repository: for a machine that must not ask the hub.

A file of a snapshot is a link to one named by the digest that the hub gave it: SHA-256 for large files, that of a git
blob for small ones.
"""

from __future__ import annotations

import re
from pathlib import Path

from .listing import DIGEST_DIGITS, RemoteFile, is_wanted


def listing(repo: str, revision: str) -> list[RemoteFile]:
    """The files that an engine needs, as far as they are in the cache; their content is not read."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model") / "snapshots" / revision
    files = [_file(path) for path in sorted(folder.glob("*")) if is_wanted(path.name)]
    return [file for file in files if file is not None]


def _file(path: Path) -> RemoteFile | None:
    """A file by the name of what it links to; None where that is no digest."""
    target = path.resolve()
    for algorithm, digits in DIGEST_DIGITS.items():
        if re.fullmatch(f"[0-9a-f]{{{digits}}}", target.name) and target.is_file():
            return RemoteFile(path.name, target.stat().st_size, target.name, algorithm)
    return None
