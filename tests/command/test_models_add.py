"""`bench.sh models add`: a manifest from a folder, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
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
        (("models", "--name", "x"), "--name belongs to `bench.sh models add FOLDER`"),
        (("models", "add", "nowhere"), "cannot read "),
        (("models", "add", "My Mistral!", "--name", "../x"), "'../x' is no name of a model"),
        (("models", "add", "My Mistral!", "--name", "X"), "'X' is no name of a model"),
        (("-n", "./My Mistral!", "-d", "cpu"), "is no name: `bench.sh models add FOLDER` makes a model of it"),
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
