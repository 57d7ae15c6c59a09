"""A model folder with Python code of its own is refused, whatever the file and whatever the engine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from builders import RANDOM, RANDOM_MII, TINY
from support import no_progress

from bench_deepspeed import weights
from bench_deepspeed.core.errors import WeightsError
from bench_deepspeed.weights import own_code, store

NAMES_CODE = [
    ("config.json", {"auto_map": {"AutoConfig": "configuration_own.OwnConfig"}}, "auto_map"),
    ("config.json", {"auto_map": {"AutoModelForCausalLM": "user/repo--modeling_own.Own"}}, "auto_map"),
    ("config.json", {"text_config": {"auto_map": {"AutoConfig": "own.Config"}}}, "auto_map"),
    ("config.json", {"custom_pipelines": {"own": {"impl": "own.Pipeline"}}}, "custom_pipelines"),
    ("config.json", {"parts": [1, {"custom_code": True}]}, "custom_code"),
    ("tokenizer_config.json", {"auto_map": ["own.Tokenizer", None]}, "auto_map"),
    ("generation_config.json", {"auto_map": {"x": "own.Generate"}}, "auto_map"),
    ("processor_config.json", {"auto_map": {"AutoProcessor": "own.Processor"}}, "auto_map"),
    ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "own.Processor"}}, "auto_map"),
    ("adapter/config.4.0.json", {"auto_map": {"AutoConfig": "own.Config"}}, "auto_map"),
]


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(("name", "content", "key"), NAMES_CODE)
def test_settings_that_name_code_are_refused(tmp_path, name, content, key):
    write(tmp_path / name, content)
    with pytest.raises(WeightsError) as refused:
        own_code.refuse(tmp_path)
    assert str(tmp_path / name) in str(refused.value)
    assert f"({key})" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["modeling_own.py", "custom_generate/generate.py"])
def test_a_python_file_is_refused(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    with pytest.raises(WeightsError, match=name):
        own_code.refuse(tmp_path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, b"\xff"])
def test_settings_that_cannot_be_read_are_refused(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WeightsError, match="config.json cannot be read"):
        own_code.refuse(tmp_path)


def test_a_folder_without_code_is_accepted(tmp_path):
    write(tmp_path / "config.json", {"auto_map": {}, "text_config": {"auto_map": None}, "architectures": ["auto_map"]})
    write(tmp_path / "tokenizer.json", {"model": {"vocab": {"auto_map": 17}}})  # a token
    write(tmp_path / "model.safetensors.index.json", {"weight_map": {"auto_map": "a.safetensors"}})
    own_code.refuse(tmp_path)


def publish_with_code(folder: Path) -> None:
    """Write the stamp of a folder of weights again after its configuration has named code."""
    facts = store.stamp_of(folder)["facts"]
    folder.replace(store.partial_of(folder))
    path = store.partial_of(folder) / "config.json"
    write(path, {**json.loads(path.read_text()), "auto_map": {"AutoConfig": "own.Config"}})
    store.publish(folder, facts, no_progress)


@pytest.mark.parametrize("want", [RANDOM, RANDOM_MII])
def test_weights_with_code_are_not_ready_for_any_engine(tmp_path, want):
    folder = weights.prepare(tmp_path, TINY, want, no_progress).folder
    publish_with_code(folder)
    assert weights.plan(tmp_path, TINY, want) == []
    with pytest.raises(WeightsError, match="auto_map"):
        weights.prepare(tmp_path, TINY, want, no_progress)


def test_weights_with_code_are_not_converted(tmp_path):
    base = weights.prepare(tmp_path, TINY, RANDOM, no_progress).folder
    publish_with_code(base)
    with pytest.raises(WeightsError, match="auto_map"):
        weights.prepare(tmp_path, TINY, RANDOM_MII, no_progress)
    assert not weights.final_folder(tmp_path, TINY, RANDOM_MII).exists()


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--engine", "transformers", "--no_quality"),
        ("quality", "--engine", "deepspeed"),
        ("load", "--target", "sequential", "--engine", "transformers"),
        ("sweep", "--engines", "transformers", "--batch_sizes", "1"),
        ("selftest", "--engine", "transformers"),
        ("ab", "--a", "engine=transformers", "--b", "engine=deepspeed"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_ends_with_exit_code_4(bench, tmp_path, smollm2_models_dir, command):
    shutil.copytree(smollm2_models_dir / "smollm2", tmp_path / "models" / "smollm2", copy_function=os.link)
    (tmp_path / "models" / "smollm2" / "pretrained" / "modeling_own.py").write_text("")
    where = ("-d", "cpu", "-n", "smollm2", "--models_dir", "models", "--output_dir", "out")
    done = bench(*command, *where)
    assert done.returncode == 4, done
    assert "modeling_own.py is Python code" in done.stdout + done.stderr
