"""`bench.sh models add`: a manifest from a folder or from the hub, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hub_server import GATED_ANONYMOUS, NOT_FOUND, HubServer
from huggingface_hub import constants
from support import InProcess

from bench_deepspeed.cli import models_command
from bench_deepspeed.model import catalog

CONFIG = {
    "model_type": "mistral",
    "vocab_size": 1000,
    "hidden_size": 96,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """A folder of manifests with none in it."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    for module in (catalog, models_command):
        monkeypatch.setattr(module, "MODELS", folder)
    return folder


@pytest.fixture
def mine(tmp_path) -> Path:
    folder = tmp_path / "My Mistral!"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def test_a_folder_becomes_a_model_that_every_command_knows(models, mine, tmp_path):
    run = InProcess(tmp_path)
    done = run("models", "add", mine)
    assert (done.returncode, done.stderr) == (0, "")
    assert "added my-mistral: 0.00 billion parameters; " in done.stdout
    assert "not with mii: mii cannot run my-mistral: its heads have 48 values" in " ".join(done.stdout.split())
    assert done.stdout.endswith("next    bench.sh -n my-mistral\n")
    assert (catalog.pinned(), list(models.iterdir())) == ([], [models / "own"])
    assert catalog.load("my-mistral").source == {"kind": "folder", "path": str(mine)}
    assert "my-mistral My Mistral!, 0.00 billion parameters" in run("models").stdout
    plan = run("-d", "cpu", "-n", "my-mistral", "--dry_run", "--models_dir", "w").stdout
    assert "copy the folder of my-mistral" in " ".join(plan.split())
    assert "my-mistral, the" not in run.refusal(2, "models", "add", mine)
    assert run("models", "add", mine, "--name", "other").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("models", "add"), "give `add FOLDER`"),
        (("models", "remove", "x"), "give `add FOLDER`"),
        (("models", "--name", "x"), "--name belongs to `bench.sh models add`"),
        (("models", "add", "My Mistral!", "--revision", "v1"), "--revision is for a repository of the hub"),
        (("models", "add", "nowhere"), "cannot read "),
        (("models", "add", f"{'x' * 300}.gguf"), "File name too long"),
        (("models", "add", "My Mistral!", "--name", "../x"), "'../x' is no name of a model"),
        (("models", "add", "My Mistral!", "--name", "own"), "'own' is no name of a model"),
        (("models", "add", "My Mistral!", "--name", "X"), "'X' is no name of a model"),
        (("-n", "./My Mistral!", "-d", "cpu"), "is no name: `bench.sh models add` makes a model of it"),
    ],
)
def test_wrong_usage_is_one_line(models, mine, tmp_path, arguments, words):
    assert words in InProcess(tmp_path).refusal(2, *arguments)
    assert list(models.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "config.json must hold an object"),
        ("{", "config.json is damaged, or is not JSON"),
        (json.dumps({**CONFIG, "model_type": "opt"}), "config.json: its model_type is 'opt'"),
    ],
)
def test_a_config_that_is_none_is_one_line_with_its_file(models, mine, tmp_path, content, words):
    (mine / "config.json").write_text(content)
    assert words in InProcess(tmp_path).refusal(2, "models", "add", mine)
    assert list(models.iterdir()) == []


REPO, COMMIT = "somebody/My-Mistral", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(mine, monkeypatch):
    """A hub that holds the model, without a byte of its weights."""
    (mine / "model.safetensors").write_bytes(b"")
    with HubServer(mine, REPO, COMMIT) as server:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        server.alter_listing = lambda listing: {**listing, "cardData": {"license": "apache-2.0"}}
        yield server


def test_a_repository_becomes_a_model_at_the_commit_that_it_has_now(models, hub, tmp_path):
    done = InProcess(tmp_path)("models", "add", REPO)
    assert (done.returncode, done.stderr) == (0, "")
    spec = catalog.load("my-mistral")
    assert (spec.source["repo"], spec.source["revision"]) == (REPO, COMMIT)
    assert (spec.title, spec.licence, spec.shape["hidden_size"]) == ("My-Mistral", "apache-2.0", 96)
    assert hub.asked() == {"config.json"}  # no weights


@pytest.mark.parametrize(
    ("behave", "code", "words"),
    [
        (lambda hub: setattr(hub, "refusal", NOT_FOUND), 4, f"the hub does not show {REPO}"),
        (lambda hub: setattr(hub, "file_refusal", GATED_ANONYMOUS), 4, "accept the licence at https://huggingface.co"),
        (lambda hub: setattr(hub, "portal", True), 4, "the hub cannot be reached"),
        (lambda hub: hub.altered.add("config.json"), 4, "its digest differs"),
        (lambda hub: (hub.folder / "model.safetensors").unlink(), 4, "pickled weights are not read"),
        (lambda hub: (hub.folder / "config.json").unlink(), 4, "has no config.json"),
        (lambda hub: (hub.folder / "config.json").write_text('{"model_type": "opt"}'), 2, "its model_type is 'opt'"),
        (lambda hub: setattr(hub, "alter_listing", lambda found: {**found, "sha": "../x"}), 4, "has no commit, but"),
    ],
)
def test_a_repository_that_holds_no_model_is_one_line(models, hub, behave, code, words):
    behave(hub)
    assert words in InProcess(hub.folder.parent).refusal(code, "models", "add", REPO)
    assert list(models.iterdir()) == []


def test_a_hub_that_is_not_to_be_asked_is_said(models, hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in InProcess(tmp_path).refusal(3, "models", "add", REPO)
