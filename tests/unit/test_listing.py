"""The hub's listing: what is taken of it, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bench_deepspeed.weights import listing
from bench_deepspeed.weights.listing import BadAnswerError, RemoteFile

SHA1, SHA256 = "0123456789" * 4, "0123456789abcdef" * 4
CONFIG = {"rfilename": "config.json", "size": 2, "blobId": SHA1}
WEIGHTS = {
    "rfilename": "model.safetensors",
    "size": 4 << 30,
    "blobId": SHA1,
    "lfs": {"sha256": SHA256, "size": 4 << 30, "pointerSize": 135},
}


def parse(*siblings: object) -> list[RemoteFile]:
    return listing.parse(json.dumps({"siblings": siblings}).encode())


def test_wanted_files_of_the_top_folder_are_taken() -> None:
    names = ["README.md", "a folder/model.safetensors", "pytorch_model.bin", "Screenshot\u202f1.png"]
    others = [{"rfilename": name, "size": 1, "blobId": SHA1} for name in names]

    assert parse(CONFIG, WEIGHTS, *others) == [
        RemoteFile("config.json", 2, SHA1, "git"),
        RemoteFile("model.safetensors", 4 << 30, SHA256, "sha256"),
    ]


def test_a_digest_is_compared_in_lower_case() -> None:
    assert parse({**CONFIG, "blobId": "ABCDEF0123" * 4})[0].digest == "abcdef0123" * 4


@pytest.mark.parametrize(
    "name",
    [
        None,
        7,
        "",
        "..",
        "../config.json",
        "model/../../config.json",
        "/config.json",
        "model//config.json",
        "./config.json",
        "model\\x.safetensors",
        "..\\model.safetensors",
        "model\0.safetensors",
        "model\n.safetensors",
        "model\x1b[2J.safetensors",
        "model\x7f.safetensors",
        "model\x85.safetensors",
        "model\ud800.safetensors",
        "model" + "x" * 200 + ".safetensors",
    ],
)
def test_a_name_that_is_not_plain_is_refused(name: object) -> None:
    with pytest.raises(BadAnswerError, match="file name") as refused:
        parse(CONFIG, {**WEIGHTS, "rfilename": name})

    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(BadAnswerError, match="'config.json' 2 times"):
        parse(CONFIG, WEIGHTS, {**CONFIG, "blobId": "f" * 40})


@pytest.mark.parametrize("size", [None, -1, 1.0, "2", True, float("nan"), [], 1 << 41, 10**400])
@pytest.mark.parametrize("entry", [CONFIG, WEIGHTS], ids=["small", "large"])
def test_a_size_that_is_no_count_of_bytes_is_refused(entry: dict, size: object) -> None:
    with pytest.raises(BadAnswerError, match="the size"):
        parse({**entry, "size": size})


def test_a_text_file_of_the_size_of_weights_is_refused() -> None:
    with pytest.raises(BadAnswerError, match="config.json the size"):
        parse({**CONFIG, "size": 1 << 30})


@pytest.mark.parametrize(
    "digest",
    [
        None,
        7,
        "",
        SHA1[:-1],
        SHA1 + "0",
        SHA1[:-1] + "g",
        SHA1 + "\n",
        "/../../victim",
        "/" + SHA1[1:],
        "٣" * 40,
        SHA256,
    ],
)
def test_a_blob_id_that_is_none_is_refused(digest: object) -> None:
    with pytest.raises(BadAnswerError, match="the digest"):
        parse({**CONFIG, "blobId": digest})


@pytest.mark.parametrize(
    "lfs", ["a word", [SHA256], {"size": 1}, {"sha256": SHA1}, {"sha256": "../" + SHA256[3:]}, {"sha256": [SHA256]}]
)
def test_a_sha256_that_is_none_is_refused(lfs: object) -> None:
    with pytest.raises(BadAnswerError, match="the digest"):
        parse({**WEIGHTS, "lfs": lfs})


@pytest.mark.parametrize("body", [b"[]", b"7", b"{}", b'{"siblings": null}', b'{"siblings": {}}', b'{"siblings": [7]}'])
def test_a_listing_without_files_is_refused(body: bytes) -> None:
    with pytest.raises(BadAnswerError, match="has no files"):
        listing.parse(body)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe\xff", b"[" * 1_000_000, b'{"siblings": [' + b"9" * 10_000])
def test_a_body_that_is_no_json_is_no_hubs(body: bytes) -> None:
    with pytest.raises(ConnectionError, match="not JSON"):
        listing.parse(body)


@pytest.mark.parametrize("algorithm", ["git", "sha256"])
def test_a_file_is_intact_with_the_size_and_the_digest_of_the_listing(tmp_path: Path, algorithm: str) -> None:
    content = b"x" * 3_000_000
    path = tmp_path / "file"
    path.write_bytes(content)
    digests = {
        "git": hashlib.sha1(b"blob 3000000\0" + content).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    file = RemoteFile("file", len(content), digests[algorithm], algorithm)

    assert file.is_intact(path)
    assert not file.is_intact(tmp_path / "nothing")
    path.write_bytes(content[:-1] + b"y")
    assert not file.is_intact(path)
    path.write_bytes(content[:-1])
    assert not file.is_intact(path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {"a": ["model.safetensors"]}}',
        '{"weight_map": {"a": "../model.safetensors"}}',
        '{"weight_map": {"a": "model.safetensors", "b": "other.safetensors"}}',
        '{"weight_map": {"a": 7, "b": null}}',
    ],
)
def test_an_index_that_names_other_files_is_refused(tmp_path: Path, content: str) -> None:
    index = tmp_path / listing.INDEX
    index.write_text(content)

    with pytest.raises(BadAnswerError, match=listing.INDEX):
        listing.check_index(index, {"model.safetensors"})
