"""What the tests share: the command as users run it, a machine without a GPU, the real small model."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import folder_of_every_kind
from support import ROOT, Bench, no_progress

from bench_deepspeed import weights
from bench_deepspeed.model import catalog, from_config
from bench_deepspeed.weights import store


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """A slow file's tests go to one worker, which loads its model once; each other test to whoever is free."""
    from xdist.scheduler import LoadScopeScheduling

    class BySlowFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", maxsplit=1)[0]
            return file if file.startswith("tests/slow/") else nodeid

    return BySlowFile(config, log)


@pytest.fixture(scope="session")
def interruptible() -> None:
    """In the background of a shell Ctrl-C is ignored, and under nohup SIGHUP; bench.sh would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def bench(tmp_path: Path, interruptible: None) -> Iterator[Bench]:
    """bench.sh, run in an empty folder. What a failed test left running is ended."""
    runner = Bench(tmp_path)
    yield runner
    for process in runner.processes():
        process.kill()
    for process in runner.started:
        process.communicate()


@pytest.fixture
def path_without_gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with what bench.sh needs and no nvidia-smi, on whatever machine the tests run."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("bash", "readlink"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


@pytest.fixture(scope="session")
def smollm2_models_dir() -> Path:
    """The checkout's models folder with the real SmolLM2 in it: made once in a checkout, not once a session."""
    models = ROOT / "models"
    want = weights.Want("pretrained", "transformers", "float32", 0)
    weights.prepare(models, catalog.load("smollm2"), want, no_progress)
    return models


@pytest.fixture(scope="session")
def small_models_dir(smollm2_models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder whose SmolLM2 has two small layers of random values, and the real one's tokenizer.

    For what a command does around a model; a step of it takes a hundredth of the real one's time.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, set_seed

    models = tmp_path_factory.mktemp("small")
    folder = models / "smollm2" / "pretrained"
    tokenizer = AutoTokenizer.from_pretrained(smollm2_models_dir / "smollm2" / "pretrained")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    tokens = {"vocab_size": len(tokenizer), "max_position_embeddings": 8192}
    set_seed(0)
    config = LlamaConfig(**sizes, **heads, **tokens, initializer_range=0.2, tie_word_embeddings=True)
    AutoModelForCausalLM.from_config(config).save_pretrained(store.partial_of(folder))
    tokenizer.save_pretrained(store.partial_of(folder))
    store.publish(folder, {"weights": "pretrained"}, no_progress)
    (models / "small").symlink_to("smollm2")  # for `small_script`
    return models


@pytest.fixture(scope="session")
def small_script(small_models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bench.sh of a copy of the suite whose user has added the small model as `small`.

    For what measures a speed: under SmolLM2's name the gate would refuse that of so small a model.
    """
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "bench_deepspeed", checkout / "bench_deepspeed")
    weights_folder = small_models_dir / "small" / "pretrained"
    shape = from_config.shape_of(json.loads((weights_folder / "config.json").read_text()))
    source = {"kind": "folder", "path": str(weights_folder)}
    manifest = checkout / "models" / "own" / "small.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"title": "Small", "licence": "none", "source": source, "shape": shape}))
    return checkout / "bench_deepspeed" / "bench.sh"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A file of each kind of result, in the test's folder."""
    return folder_of_every_kind(tmp_path)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """An empty folder of runs."""
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder
