"""A hub that misbehaves: cut, altered, slow, redirected, gated, with names that climb and another host."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import hub_server
from hub_server import HubServer

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import hub, store

from .tally import Tally

REPO, REVISION, TOKEN = "somebody/tiny", "0123456789abcdef0123456789abcdef01234567", "hf_thisTextMustNeverBeShown"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
SMALL = ("config.json", "tokenizer.json", "model.safetensors.index.json")
LONGEST_S = 60
STALL_S = 0.3
NAMES = ("../x", "/etc/x", "a/../../x", "model\n.safetensors", "model\x1b[2J.safetensors", "", ".", "model\0")
SIZES = (-1, 10**18, "5", None, 1.5, True, [], 2**70)
DIGESTS = ("", "x" * 64, "../" * 20, None, 5, "0" * 63, "0" * 40)
ADDRESSES = ("file:///etc/passwd", "ftp://localhost/x", "http://", "//", "http://[::1", "javascript:x", "{self}")
WHAT = ("listing", "redirect", *SHARDS, *SMALL)
CODES = {"fetched": 0, "WeightsError": 4, "MachineError": 3}
Misbehaviour = Callable[[HubServer, random.Random], None]


def _files(draw: random.Random) -> str:
    return draw.choice((*SHARDS, *SMALL))


def _listing(key: str, values: tuple) -> Misbehaviour:
    """Another value in one entry of the listing."""

    def set_up(server: HubServer, draw: random.Random) -> None:
        place, value = draw.randrange(5), draw.choice(values)

        def alter(listing: dict) -> dict:
            entry = listing["siblings"][place % len(listing["siblings"])]
            if key == "sha256":
                entry["lfs"] = {"sha256": value}
            else:
                entry[key] = value
            return listing

        server.alter_listing = alter

    return set_up


def _whole_listing(server: HubServer, draw: random.Random) -> None:
    whole = draw.choice(([], {}, None, {"siblings": None}, {"siblings": [None]}, {"siblings": []}, "x", 10**400))
    server.alter_listing = lambda _listing: whole


def _redirected(server: HubServer, draw: random.Random) -> None:
    place = draw.choice(ADDRESSES).format(self=f"{server.endpoint}/{REPO}/resolve/{REVISION}/{SHARDS[0]}")
    answer = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()

    def write(out: hub_server.Writer) -> None:
        out(answer)
        raise ConnectionError

    server.answers["redirect"] = write


def _answer(server: HubServer, draw: random.Random) -> None:
    server.answers[draw.choice(WHAT)] = draw.choice((hub_server.slow_headers, hub_server.endless_interim_answers))


def _body(server: HubServer, draw: random.Random) -> None:
    server.bodies[draw.choice(WHAT)] = draw.choice((hub_server.endless, hub_server.trickle))


REFUSALS = (hub_server.GATED, hub_server.GATED_ANONYMOUS, hub_server.FORBIDDEN, hub_server.NOT_FOUND, hub_server.BROKEN)
MISBEHAVIOURS: dict[str, Misbehaviour] = {
    "cut": lambda server, draw: server.cut.update({_files(draw): draw.randrange(100)}),
    "cut once": lambda server, draw: server.cut_once.update({_files(draw): draw.randrange(100)}),
    "altered": lambda server, draw: server.altered.add(_files(draw)),
    "held": lambda server, draw: server.hold.update({_files(draw): draw.randrange(100)}),
    "without ranges": lambda server, draw: setattr(server, "ignores_ranges", True),
    "login page": lambda server, draw: setattr(server, "portal", True),
    "silent": lambda server, draw: setattr(server, "silent", True),
    "refused": lambda server, draw: setattr(server, "refusal", draw.choice(REFUSALS)),
    "files refused": lambda server, draw: setattr(server, "file_refusal", draw.choice(REFUSALS)),
    "compressed": lambda server, draw: server.compressed.add(draw.choice(("listing", *SHARDS, *SMALL))),
    "body without end": _body,
    "headers without end": _answer,
    "redirected": _redirected,
    "hostile name": _listing("rfilename", NAMES),
    "hostile size": _listing("size", SIZES),
    "hostile digest": _listing("sha256", DIGESTS),
    "hostile blob": _listing("blobId", DIGESTS),
    "hostile listing": _whole_listing,
    "as it should be": lambda server, draw: None,
}


def hubs(folder: Path, count: int, seed: int) -> Tally:
    """Fetch so often from a hub with one or two misbehaviours."""
    from bench_deepspeed.weights import transfer

    hub.PAUSE_S, transfer.STALL_S = 0.0, STALL_S
    draw, tally = random.Random(seed), Tally()
    repository = _repository(folder / "repository")
    spec = catalog.load("llama")
    spec.source.update(repo=REPO, revision=REVISION)
    for number in range(count):
        names = draw.sample(list(MISBEHAVIOURS), draw.choice((1, 1, 2)))
        with HubServer(repository, REPO, REVISION) as server:
            _point_to(server)
            server.token = TOKEN
            for name in names:
                MISBEHAVIOURS[name](server, draw)
            place = folder / f"case-{number}" / "model"
            place.mkdir(parents=True)
            ended, wrong = _fetched(spec, place)
            wrong += _told(server, place, repository)
        if ended == "fetched" and not wrong and names != ["as it should be"]:
            tally.count("fetched in spite of", " + ".join(names))
        for name in names:
            tally.count("misbehaviour", name)
        tally.add([names, ended], CODES.get(ended.partition(":")[0]), wrong)
        shutil.rmtree(place.parent)
    return tally


def _point_to(server: HubServer) -> None:
    """Have the client take this server for the hub: it reads its variables when it is imported."""
    from huggingface_hub import constants

    os.environ["HF_TOKEN"] = TOKEN
    constants.ENDPOINT = server.endpoint
    constants.HUGGINGFACE_CO_URL_TEMPLATE = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"


def _fetched(spec: catalog.ModelSpec, place: Path) -> tuple[str, list[str]]:
    """Fetch. Returns how it ended, and what is wrong with that."""
    started = time.monotonic()
    wrong, ended = [], "fetched"
    try:
        with store.disk_errors(place):
            hub.fetch(spec, place, lambda label, done, total: None)
    except BenchError as error:
        ended = f"{type(error).__name__}: {str(error)[:80]}"
        if TOKEN in str(error) or "\n" in str(error):
            wrong.append(f"message: {error}")
    except Exception as error:
        ended = "defect"
        wrong.append(f"traceback: {error!r:.200}")
    if (took_s := time.monotonic() - started) > LONGEST_S:
        wrong.append(f"took {took_s:.0f} s")
    return ended, wrong


def _told(server: HubServer, place: Path, repository: Path) -> list[str]:
    """Whether the token went elsewhere, something was written elsewhere, or what was fetched is not the hub's."""
    wrong = [f"the token went to {r.kind}" for r in server.requests if r.kind in ("cdn", "unknown") and r.authorization]
    beside = [path.name for path in place.parent.iterdir() if path != place]
    wrong += [f"written next to the folder: {name}" for name in beside]
    for path in place.iterdir():
        if path.is_file() and path.read_bytes() != (repository / path.name).read_bytes():
            wrong.append(f"{path.name} is not the hub's")
    return wrong


def _repository(folder: Path) -> Path:
    """Small files of the names that a model has; nothing loads them."""
    folder.mkdir()
    for number, name in enumerate(SHARDS):
        (folder / name).write_bytes(bytes([number]) * 200)
    index = {"weight_map": {f"tensor{number}": name for number, name in enumerate(SHARDS)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text(json.dumps({"name": name, "filling": "x" * 100}))
    return folder
