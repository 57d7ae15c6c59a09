"""Weights from the Hugging Face hub: a pinned revision, safetensors only, resumable, digests verified.

huggingface_hub names the files and their digests. The bytes are fetched here, because its version 1.33
throws away what has arrived of a file when a fetch breaks off, which may be 10 GB.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from bench_deepspeed.core.errors import WeightsError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.model.catalog import ModelSpec

from .store import require_disk, sha256_of

WANTED = (
    "model*.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)

CHUNK_BYTES = 4 << 20  # what a broken connection can lose; a 10 GB file is reported in 2,500 steps
FRUITLESS = 5  # attempts in a row that brought no byte, after which the network is taken to be down
PAUSE_S = 1.0


def fetch(spec: ModelSpec, folder: Path, progress: Progress) -> dict:
    """Fetch what is missing of the model into `folder` and verify it. Returns the facts for the stamp.

    A fetch that was cut off goes on where it stopped. Raises WeightsError with the licence page, the
    token or the network as the thing to mend; MachineError when the disk is too small.
    """
    repo, revision = spec.source["repo"], spec.source["revision"]
    files = _list(spec)
    missing = []
    for number, file in enumerate(files):
        progress(f"looking for {repo}", number, len(files))
        if not _is_intact(folder / file.rfilename, file):
            (folder / file.rfilename).unlink(missing_ok=True)
            missing.append(file)
    require_disk(folder, sum(file.size - _size_of(_part_of(folder, file)) for file in missing))
    _fetch_parts(spec, folder, missing, progress)
    for number, file in enumerate(missing):
        progress(f"verifying {repo}", number, len(missing))
        part = _part_of(folder, file)
        if not _is_intact(part, file):
            part.unlink()
            raise WeightsError(
                f"{file.rfilename} did not arrive as the hub holds it (its digest differs) and was deleted: run again"
            )
        part.replace(folder / file.rfilename)
    progress(f"verifying {repo}", len(missing), len(missing))
    return {"weights": "pretrained", "source": {"repo": repo, "revision": revision}}


def _list(spec: ModelSpec) -> list:
    """The files that an engine needs, with their sizes and digests."""
    from huggingface_hub import HfApi, constants

    repo, revision = spec.source["repo"], spec.source["revision"]
    with _hub_errors(spec):
        info = HfApi().model_info(
            repo, revision=revision, files_metadata=True, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
        )
    # fnmatch's star takes slashes too, and a folder's files are none of a model's.
    names = [f.rfilename for f in info.siblings if "/" not in f.rfilename]
    wanted = {name for name in names if any(fnmatch(name, pattern) for pattern in WANTED)}
    if not any(name.endswith(".safetensors") for name in wanted):
        raise WeightsError(f"{repo} at {revision[:8]} holds no safetensors: pickled weights are not read")
    return [f for f in info.siblings if f.rfilename in wanted]


def _fetch_parts(spec: ModelSpec, folder: Path, missing: list, progress: Progress) -> None:
    """Bring every missing file to its full size, still under its part's name."""
    from huggingface_hub import hf_hub_url, try_to_load_from_cache

    repo, revision = spec.source["repo"], spec.source["revision"]
    total, done = sum(file.size for file in missing), 0
    for file in missing:
        part = _part_of(folder, file)

        def report(size: int, before: int = done) -> None:
            progress(f"fetching {repo}", before + size, total)

        part.parent.mkdir(exist_ok=True)
        cached = try_to_load_from_cache(repo, file.rfilename, revision=revision)
        if isinstance(cached, str) and _is_intact(Path(cached), file):  # another program has fetched it
            shutil.copyfile(cached, part)
        part.touch()
        with _hub_errors(spec):
            _complete(hf_hub_url(repo, file.rfilename, revision=revision), part, file.size, report)
        done += file.size
        report(0, done)


def _complete(url: str, part: Path, size: int, report: Callable[[int], None]) -> None:
    """Append to `part` what it lacks; a broken connection is taken up again as long as bytes arrive."""
    import httpx

    fruitless = 0
    while (before := _size_of(part)) < size:
        try:
            _append(url, part, before, report)
            if _size_of(part) < size:
                raise ConnectionError(f"{url} ended early")
        except (httpx.TransportError, ConnectionError):
            fruitless = 0 if _size_of(part) > before else fruitless + 1
            if fruitless == FRUITLESS:
                raise
            time.sleep(PAUSE_S)


def _append(url: str, part: Path, offset: int, report: Callable[[int], None]) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    # Not compressed: an offset counts the file's own bytes.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        if response.status_code != 206:  # the whole file, whatever was asked for
            offset = 0
        with part.open("ab" if offset else "wb") as output:
            for chunk in response.iter_bytes(CHUNK_BYTES):
                output.write(chunk)
                offset += len(chunk)
                report(offset)


def _part_of(folder: Path, file) -> Path:
    """Where a file lies until it is verified: `publish` removes that folder, and the digest in the name
    keeps two revisions of a file apart."""
    return folder / ".cache" / f"{file.rfilename}-{_digest_of(file)}"


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest_of(file) -> str:
    """What the hub knows a file by: SHA-256 for large files, git's blob hash for small ones."""
    return file.lfs.sha256 if file.lfs else file.blob_id


def _is_intact(path: Path, file) -> bool:
    """Whether the file is there with the hub's digest."""
    if not path.is_file() or _size_of(path) != file.size:
        return False
    if file.lfs:
        return sha256_of(path) == _digest_of(file)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == _digest_of(file)


@contextlib.contextmanager
def _hub_errors(spec: ModelSpec) -> Iterator[None]:
    """Turn what the hub and the network answer into one line with the thing to do."""
    import httpx
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    repo = spec.source["repo"]
    alternative = "or use --weights random for speed alone"
    try:
        yield
    except GatedRepoError as error:
        raise WeightsError(
            f"{repo} is gated: accept the licence at {spec.source['licence_url']} with your account, then log in "
            f"(HF_TOKEN, or `hf auth login`); {alternative}"
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsError(
            f"the hub does not show {repo}: the token is wrong or expired, or there is none; check HF_TOKEN or "
            f"`hf auth login`; {alternative}"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        what = "try later"
        if status in {401, 403}:
            what = "the token is wrong or expired, or may not read this: check HF_TOKEN or `hf auth login`"
        raise WeightsError(f"the hub answered {status} for {repo}: {what}; {alternative}") from error
    except (httpx.HTTPError, OfflineModeIsEnabled, ConnectionError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"the hub cannot be reached ({type(error).__name__}): what was fetched is kept, run again with a network; "
            f"{alternative}"
        ) from error
