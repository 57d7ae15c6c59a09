"""`bench.sh sweep`: the product, its arithmetic, failures, resuming, and batches of the real SmolLM2."""

from __future__ import annotations

import pytest
from deepspeed.inference.v2.ragged.manager_configs import DSStateManagerConfig
from support import no_progress, sweep_of, sweep_path, unwrapped

from bench_deepspeed.benchmarks.sweep import batches
from bench_deepspeed.engines import engine_class, mii
from bench_deepspeed.engines.base import Load
from bench_deepspeed.engines.transformers import TransformersEngine
from bench_deepspeed.model import catalog


def test_mii_takes_whole_blocks_and_repeated_heads():
    """SmolLM2's three KV heads become nine, and its blocks hold 128 tokens; Transformers takes what there is."""
    spec = catalog.load("smollm2")
    assert engine_class("mii").kv_bytes(spec, "float16", 2, 129) == (2 * 2 + 1) * 128 * 2 * 30 * 9 * 64 * 2
    assert engine_class("transformers").kv_bytes(spec, "float16", 2, 129) == 2 * 129 * 2 * 30 * 3 * 64 * 2


@pytest.mark.parametrize(
    ("sequences", "expected"), [(256, (2048, 512, 768)), (600, (2048, 600, 768)), (3000, 3 * (3000,))]
)
def test_deepspeed_takes_the_settings_for_many_sequences(sequences, expected):
    config = DSStateManagerConfig(**mii.state_manager(99, sequences))
    names = ("max_tracked_sequences", "max_ragged_sequence_count", "max_ragged_batch_size")
    assert tuple(getattr(config, name) for name in names) == expected
    assert (config.memory_config.mode, config.memory_config.size) == ("allocate", 99)
    assert {name: getattr(DSStateManagerConfig(), name) for name in names} == mii.BATCH_LIMITS


@pytest.fixture(scope="module")
def smollm2(smollm2_models_dir, tmp_path_factory) -> TransformersEngine:
    """The real SmolLM2 in float32."""
    engine = TransformersEngine()
    folder = smollm2_models_dir / "smollm2" / "pretrained"
    engine.load(Load(folder, "cpu", "float32", tmp_path_factory.mktemp("logs"), [], 40), no_progress)
    return engine


def test_the_vocabulary_has_no_special_tokens(smollm2):
    vocabulary = set(smollm2.vocabulary())
    assert vocabulary.isdisjoint(smollm2.tokenizer.all_special_ids)
    assert len(vocabulary) == len(smollm2.tokenizer) - len(smollm2.tokenizer.added_tokens_decoder)


def test_each_row_of_a_batch_is_what_it_is_alone(smollm2):
    """Greedy, in float32. The texts are compared, which hold every token."""
    rows = batches.prompts(smollm2.vocabulary(), 3, 24, seed=0)
    together = smollm2.generate_batch(rows, 8)
    assert together == [smollm2.generate_batch([row], 8)[0] for row in rows]
    assert len({generation.text for generation in together}) == 3
    assert [(generation.prompt_tokens, generation.new_tokens) for generation in together] == 3 * [(24, 8)]


def test_a_real_engine_through_the_command(bench, tmp_path, small_models_dir, small_script):
    bench.script = small_script
    flags = ("--batch_sizes", "1,2", "--prompt_tokens", "8,16", "--max_tokens", "4", "-r", "1", "--processes", "1")
    places = ("--output_dir", "out", "--models_dir", small_models_dir)
    done = bench("sweep", "-d", "cpu", "-n", "small", *flags, *places)
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(tmp_path)
    assert {scenario.status for scenario in sweep.scenarios} == {"complete"}
    assert (len(sweep.model["digest"]), list(sweep.limits)) == (64, ["float32"])
    assert "of the limit" in unwrapped(done.stdout)  # shown or, in 80 columns, named as what is not
    names = {"sweep.json", "performance.log", "worker.log"}
    names |= {f"{name}.{kind}" for name in ("throughput", "prefill") for kind in ("png", "svg")}
    assert {path.name for path in sweep_path(tmp_path).parent.iterdir()} == names
