"""Weights from the Hugging Face hub: a pinned revision, safetensors only, resumable, digests verified."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from ..catalog import ModelSpec
from ..engines.base import Progress
from ..errors import WeightsError
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


def fetch(spec: ModelSpec, folder: Path, progress: Progress) -> dict:
    """Fetch what is missing of the model into `folder` and verify it. Returns the facts for the stamp.

    A fetch that was cut off goes on where it stopped. Raises WeightsError with the licence page, the
    token or the network as the thing to mend; MachineError when the disk is too small.
    """
    from huggingface_hub import HfApi, hf_hub_download

    repo, revision = spec.source["repo"], spec.source["revision"]
    with _hub_errors(spec):
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    files = [f for f in info.siblings if any(fnmatch(f.rfilename, pattern) for pattern in WANTED)]
    if not any(f.rfilename.endswith(".safetensors") for f in files):
        raise WeightsError(f"{repo} at {revision[:8]} holds no safetensors: pickled weights are not read")
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    require_disk(folder, max(0, sum(f.size for f in files) - present))
    for number, file in enumerate(files):
        progress(f"fetching {repo}", number, len(files))
        with _hub_errors(spec):
            hf_hub_download(repo, file.rfilename, revision=revision, local_dir=folder)
    for number, file in enumerate(files):
        progress(f"verifying {repo}", number, len(files))
        _verify(folder / file.rfilename, file)
    progress(f"verifying {repo}", len(files), len(files))
    return {"weights": "pretrained", "source": {"repo": repo, "revision": revision}}


def _verify(path: Path, file) -> None:
    """Compare with the hub's digest: SHA-256 for large files, git's blob hash for small ones."""
    if file.lfs:
        intact = sha256_of(path) == file.lfs.sha256
    else:
        content = path.read_bytes()
        intact = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file.blob_id
    if not intact:
        path.unlink()
        raise WeightsError(
            f"{file.rfilename} did not arrive as the hub holds it (its digest differs) and was deleted: run again"
        )


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
        what = "the token is wrong or expired: check HF_TOKEN or `hf auth login`" if status == 401 else "try later"
        raise WeightsError(f"the hub answered {status} for {repo}: {what}; {alternative}") from error
    except (httpx.HTTPError, OfflineModeIsEnabled, ConnectionError) as error:
        raise WeightsError(
            f"the hub cannot be reached ({type(error).__name__}): what was fetched is kept, run again with a network; "
            f"{alternative}"
        ) from error
