"""Weights from the Hugging Face hub: a pinned revision, safetensors only, resumable, digests verified.

`listing` checks the hub's description of its files. The bytes are fetched here, because huggingface_hub 1.33 discards
what has arrived of a file when a fetch breaks off, which may be 10 GB; `transfer` bounds each request.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from bench_deepspeed.core.errors import WeightsError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.model.catalog import ModelSpec

from . import hub_cache
from .listing import INDEX, BadAnswerError, RemoteFile, check_index, parse
from .store import require_disk

LISTING_BYTES = 4 << 20  # a listing of 100 files has 30 KB
FRUITLESS = 5  # attempts in a row that brought no whole chunk, after which the network is taken to be down
PAUSE_S = 1.0
RANDOM = "or use --weights random for speed alone"


def fetch(spec: ModelSpec, folder: Path, progress: Progress) -> dict:
    """Fetch what is missing of the model into `folder` and verify it. Returns the facts for the stamp.

    A fetch that was cut off goes on where it stopped. Raises WeightsError that names the licence page, the
    token, the network or the mirror as what to change; MachineError when the disk is too small.
    """
    repo, revision = spec.source["repo"], spec.source["revision"]
    files = _list(spec.source)
    missing = []
    for number, file in enumerate(files):
        progress(f"looking for {repo}", number, len(files))
        if not file.is_intact(folder / file.name):
            (folder / file.name).unlink(missing_ok=True)
            missing.append(file)
    require_disk(folder, sum(file.size - _size_of(_part_of(folder, file)) for file in missing))
    _fetch_parts(spec, folder, missing, progress)
    for number, file in enumerate(missing):
        progress(f"verifying {repo}", number, len(missing))
        part = _part_of(folder, file)
        if not file.is_intact(part):
            part.unlink()
            raise WeightsError(
                f"{file.name} did not arrive as the hub holds it (its digest differs) and was deleted: run again"
            )
        part.replace(folder / file.name)
    progress(f"verifying {repo}", len(missing), len(missing))
    names = {file.name for file in files}
    if INDEX in names:
        with hub_errors(spec.source):
            check_index(folder / INDEX, names)
    return {"weights": "pretrained", "source": {"repo": repo, "revision": revision}}


def listing(source: Mapping[str, str]) -> bytes:
    """What the hub says of a repository at a revision, as it came. To be called within `hub_errors`."""
    from huggingface_hub import constants

    from . import transfer

    url = f"{constants.ENDPOINT}/api/models/{source['repo']}/revision/{quote(source['revision'], safe='')}?blobs=true"
    body = bytearray()
    transfer.receive(url, "the listing", lambda _, chunk: body.extend(chunk), LISTING_BYTES)
    return bytes(body)


def require_safetensors(files: list[RemoteFile], source: Mapping[str, str]) -> None:
    """Raise WeightsError unless some of the files are safetensors."""
    if not any(file.name.endswith(".safetensors") for file in files):
        raise WeightsError(
            f"{source['repo']} at {source['revision'][:8]} holds no safetensors: pickled weights are not read"
        )


def _list(source: Mapping[str, str]) -> list[RemoteFile]:
    """The files that an engine needs, with their sizes and digests."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return _list_cached(source["repo"], source["revision"])
    with hub_errors(source):
        files = parse(listing(source))
    require_safetensors(files, source)
    return files


def _list_cached(repo: str, revision: str) -> list[RemoteFile]:
    """The files of the hub's cache. Raises WeightsError where the model is not whole there."""
    files = hub_cache.listing(repo, revision)
    names = {file.name for file in files}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise WeightsError(
            f"HF_HUB_OFFLINE is set, and the hub's cache does not hold {repo} at {revision[:8]}: unset it, fetch the "
            "model there first, or use --weights random for speed alone"
        )
    return files


def _fetch_parts(spec: ModelSpec, folder: Path, missing: list[RemoteFile], progress: Progress) -> None:
    """Bring every missing file to its full size, still under its part's name."""
    from huggingface_hub import hf_hub_url, try_to_load_from_cache

    repo, revision = spec.source["repo"], spec.source["revision"]
    total, done = sum(file.size for file in missing), 0
    for file in missing:
        part = _part_of(folder, file)

        def report(size: int, before: int = done) -> None:
            progress(f"fetching {repo}", before + size, total)

        part.parent.mkdir(exist_ok=True)
        cached = try_to_load_from_cache(repo, file.name, revision=revision)
        if isinstance(cached, str) and file.is_intact(Path(cached)):  # another program has fetched it
            shutil.copyfile(cached, part)
        part.touch()
        with hub_errors(spec.source):
            complete(hf_hub_url(repo, file.name, revision=revision), file, part, report)
        done += file.size
        report(0, done)


def complete(url: str, file: RemoteFile, part: Path, report: Callable[[int], None]) -> None:
    """Append to `part` what it lacks; a broken connection is opened again as long as whole chunks arrive."""
    import httpx

    from . import transfer

    fruitless, reached = 0, _size_of(part)
    while (before := _size_of(part)) < file.size:
        try:
            _append(url, file, part, before, report)
            if _size_of(part) < file.size:
                raise ConnectionError(f"{file.name} ended early")
        except (httpx.TransportError, ConnectionError):
            # Counted from the largest size so far: a server may restart the file each time.
            size = _size_of(part)
            grew = size >= reached + transfer.CHUNK_BYTES
            fruitless, reached = (0, size) if grew else (fruitless + 1, reached)
            if fruitless == FRUITLESS:
                raise
            time.sleep(PAUSE_S)


def _append(url: str, file: RemoteFile, part: Path, offset: int, report: Callable[[int], None]) -> None:
    from . import transfer

    with part.open("ab") as output:

        def take(position: int, chunk: bytes) -> None:
            output.truncate(position)  # to nothing, where the server sends the whole file in spite of the range
            output.write(chunk)
            report(position + len(chunk))

        transfer.receive(url, file.name, take, file.size, offset)


def _part_of(folder: Path, file: RemoteFile) -> Path:
    """Where a file lies until it is verified: `publish` removes that folder, and the digest in the name
    keeps two revisions of a file apart."""
    return folder / ".cache" / f"{file.name}-{file.digest}"


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextlib.contextmanager
def hub_errors(source: Mapping[str, str], alternative: str = RANDOM) -> Iterator[None]:
    """Turn errors of the hub and the network into one line that says what to do. `source` is a manifest's."""
    import httpx
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    from .transfer import BadProxyError

    repo = source["repo"]
    try:
        yield
    except GatedRepoError as error:
        raise WeightsError(
            f"{repo} is gated: accept the licence at {source['licence_url']} with your account, then log in "
            f"(HF_TOKEN, or `hf auth login`); {alternative}"
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsError(
            f"the hub does not show {repo}: the token is wrong or expired, or there is none; check HF_TOKEN or "
            f"`hf auth login`; {alternative}"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "try later"
        if status in {401, 403}:
            remedy = "the token is wrong or expired, or may not read this: check HF_TOKEN or `hf auth login`"
        raise WeightsError(f"the hub answered {status} for {repo}: {remedy}; {alternative}") from error
    except BadAnswerError as error:
        raise WeightsError(
            f"the hub's answer is refused: {error}; check HF_ENDPOINT and the network, and run again (what was fetched "
            f"is kept), {alternative}"
        ) from error
    except BadProxyError as error:
        raise WeightsError(f"the hub cannot be asked: {error}; {alternative}") from error
    except (httpx.HTTPError, httpx.InvalidURL, ConnectionError) as error:
        raise WeightsError(
            f"the hub cannot be reached ({type(error).__name__}): what was fetched is kept, run again with a network; "
            f"{alternative}"
        ) from error
