"""The hub's listing of a repository, checked where it is read: no answer of a server is trusted.

A name of the listing becomes a file name here, a digest a part of one, and a size the room on the disk.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from bench_deepspeed.core.errors import DAMAGE

from .store import is_safe_name

INDEX = "model.safetensors.index.json"
WANTED = (
    "model*.safetensors",
    INDEX,
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)

WEIGHTS_BYTES = 1 << 40  # of one file of weights; those of 405 billion parameters have 5 GB each
TEXT_BYTES = 64 << 20  # of any other file: it is read into memory. The largest tokenizers have 35 MB
NAME_BYTES = 128  # a file system takes 255, and a digest follows the name
DIGEST_DIGITS = {"sha256": 64, "git": 40}


class BadAnswerError(Exception):
    """The server's answer is not one that a hub gives; the message says why, in one line."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of the repository's top folder: `name` is safe to join to a folder, `size` counts bytes.

    `digest` is in lower-case hexadecimal digits, and `algorithm` names what it is of: "sha256" of the content (large
    files), "git" of a git blob (small ones).
    """

    name: str
    size: int
    digest: str
    algorithm: str

    def is_intact(self, path: Path) -> bool:
        """Whether `path` has this file's content."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        digest = hashlib.sha256() if self.algorithm == "sha256" else hashlib.sha1(b"blob %d\0" % self.size)
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest() == self.digest


def parse(body: bytes) -> list[RemoteFile]:
    """The files of a listing that an engine needs.

    Raises ConnectionError where the body is no JSON (a network that wants a login answers with a page), BadAnswerError
    where the listing is not one that a hub gives.
    """
    try:
        listing = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ConnectionError("the listing is not JSON") from error
    siblings = listing.get("siblings") if isinstance(listing, dict) else None
    if not isinstance(siblings, list) or not all(isinstance(entry, dict) for entry in siblings):
        raise BadAnswerError("the listing has no files")
    names = [entry.get("rfilename") for entry in siblings]
    for name in names:
        if not is_safe_name(name):
            raise BadAnswerError(f"the listing has the file name {name!a:.80}")
    for name, count in Counter(names).items():
        if count > 1:
            raise BadAnswerError(f"the listing has {name!a:.80} {count} times")
    return [_file(entry) for entry in siblings if is_wanted(entry["rfilename"])]


def is_wanted(name: str) -> bool:
    """Whether an engine needs the file."""
    # fnmatch's star takes slashes too, and files in subfolders are not part of a model.
    return "/" not in name and any(fnmatch(name, pattern) for pattern in WANTED)


def _file(entry: dict) -> RemoteFile:
    name, size, lfs = entry["rfilename"], entry.get("size"), entry.get("lfs")
    if len(name.encode()) > NAME_BYTES:
        raise BadAnswerError(f"the listing has a file name of more than {NAME_BYTES} bytes, {name!a:.40}…")
    limit = WEIGHTS_BYTES if name.endswith(".safetensors") else TEXT_BYTES
    if type(size) is not int or not 0 <= size <= limit:
        raise BadAnswerError(f"the listing gives {name} the size {size!a:.40}, not a number of bytes up to {limit}")
    algorithm, digest = ("sha256", _field(lfs, "sha256")) if lfs else ("git", entry.get("blobId"))
    digits = DIGEST_DIGITS[algorithm]
    if not isinstance(digest, str) or not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", digest):
        raise BadAnswerError(f"the listing gives {name} the digest {digest!a:.80}, not {digits} hexadecimal digits")
    return RemoteFile(name, size, digest.lower(), algorithm)


def _field(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def check_index(path: Path, names: set[str]) -> None:
    """Raise BadAnswerError where the index of the shards, as fetched, names any file but those of the listing.

    Transformers joins these names to the model's folder.
    """
    try:
        foreign = set(json.loads(path.read_bytes())["weight_map"].values()) - names
    except DAMAGE as error:
        raise BadAnswerError(f"{path.name} is not an index of shards") from error
    if foreign:
        raise BadAnswerError(f"{path.name} names the file {min(foreign, key=str)!a:.80}, which is not in the listing")
