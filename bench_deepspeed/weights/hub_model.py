"""What a repository of the hub says of its model: the revision, the licence and the configuration, before any weights
are fetched."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from bench_deepspeed.core.errors import MachineError, WeightsError
from bench_deepspeed.core.json_files import parse_json, read_bytes

from .hub import complete, hub_errors, listing, require_safetensors
from .listing import BadAnswerError, parse

PAGES = "https://huggingface.co"
CONFIG = "config.json"
COMMIT = re.compile(r"[0-9a-f]{40}")
LICENCE_LETTERS = 80


def read(repo: str, revision: str) -> tuple[dict[str, Any], object]:
    """The fields of a manifest but its shape, whose revision is the commit that `revision` names now; config.json.

    Raises MachineError without a network, WeightsError for what the hub refuses or does not hold.
    """
    from huggingface_hub import constants

    if constants.is_offline_mode():
        raise MachineError("HF_HUB_OFFLINE is set: unset it to add a model of the hub, or name a folder")
    source = {"kind": "hub", "repo": repo, "revision": revision, "licence_url": f"{PAGES}/{repo}"}
    with hub_errors(source, "or name a folder that holds the model"):
        body = listing(source)
        files = {file.name: file for file in parse(body)}
        require_safetensors(list(files.values()), source)
        about = json.loads(body)
        source["revision"] = _commit(about)
        config = _config(source, files.get(CONFIG))
    return {"title": repo.rpartition("/")[2], "licence": _licence(about), "source": source}, config


def _commit(about: dict[str, Any]) -> str:
    commit = about.get("sha")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise BadAnswerError(f"the listing has no commit, but {commit!a:.50}")
    return commit


def _config(source: dict[str, str], file) -> object:
    from huggingface_hub import hf_hub_url

    if file is None:
        raise WeightsError(f"{source['repo']} has no {CONFIG}: it holds no model for Transformers")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CONFIG
        path.touch()
        complete(hf_hub_url(source["repo"], CONFIG, revision=source["revision"]), file, path, lambda _: None)
        if not file.is_intact(path):
            raise WeightsError(f"{CONFIG} did not arrive as the hub holds it (its digest differs): run again")
        return parse_json(read_bytes(path), path)


def _licence(about: dict[str, Any]) -> str:
    """As its page names it."""
    card = about.get("cardData")
    licence = card.get("license") if isinstance(card, dict) else None
    return licence[:LICENCE_LETTERS] if isinstance(licence, str) else "its own: see its page"
