"""What only a GPU can prove of packed weights: every cell of the table runs, in the bytes that it says, rightly."""

from __future__ import annotations

import itertools
import json

import pytest
from support import sweep_of

from bench_deepspeed.benchmarks.common import precisions
from bench_deepspeed.core import capabilities
from bench_deepspeed.core.precision import NAMES
from bench_deepspeed.engines import ENGINES, engine_class
from bench_deepspeed.model import arithmetic, catalog

pytestmark = pytest.mark.gpu
SMOLLM2 = catalog.load("smollm2")
CELLS = [
    (engine, precision)
    for engine, precision in itertools.product(ENGINES, NAMES)
    if engine != "fake" and capabilities.cell(engine, "cuda", precision).packing
]
SIZE = ("--batch_sizes", "1", "--prompt_tokens", "32", "--max_tokens", "16", "-r", "1", "--processes", "1")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, interruptible):
    """The whole matrix of SmolLM2, with the answers to two questions."""
    from support import Bench

    folder = tmp_path_factory.mktemp("matrix")
    asked = folder / "two.json"
    prompts = [{"prompt": "What is the capital of France?"}, {"prompt": "Name a colour."}]
    asked.write_text(json.dumps({"max_tokens": 24, "questions": prompts}))
    flags = ("--engines", "all", "--precisions", "all", *SIZE, "--quality", "--questions", asked)
    done = Bench(folder)("sweep", "-d", "cuda", "-n", "smollm2", *flags, "--output_dir", "out")
    assert done.returncode == 0, done.stderr
    return sweep_of(folder)


def runs_here(engine: str, precision: str) -> bool:
    cell = capabilities.cell(engine, "cuda", precision)
    return not (precisions.refusal(SMOLLM2, engine, "cuda", precision) or precisions.lacking(cell, precision))


def test_every_cell_runs_or_has_a_reason(sweep):
    assert {(s.engine, s.precision) for s in sweep.scenarios} == set(itertools.product(sweep.settings.engines, NAMES))
    for scenario in sweep.scenarios:
        expected = "complete" if runs_here(scenario.engine, scenario.precision) else "refused"
        assert scenario.status == expected, (scenario.title(), scenario.reason)
        assert bool(scenario.reason) == (expected == "refused")


@pytest.mark.parametrize("key", CELLS, ids=" ".join)
def test_packed_weights_take_the_bytes_that_the_arithmetic_says(sweep, key):
    if not runs_here(*key) or engine_class(key[0]).form != "transformers":
        pytest.skip("it does not run here, or holds other tensors than the model's")
    (scenario,) = [s for s in sweep.scenarios if (s.engine, s.precision) == key]
    cell = capabilities.cell(key[0], "cuda", key[1])
    assert scenario.memory.weights_bytes == arithmetic.weight_bytes(SMOLLM2, cell.compute, cell.packing)


def test_packed_weights_are_within_the_noise_floor_of_their_own_precision(sweep):
    packed = [found for found in sweep.quality if (found.engine, found.precision) in CELLS]
    assert {(found.engine, found.precision) for found in packed} == {key for key in CELLS if runs_here(*key)}
    assert [(found.engine, found.precision, found.words) for found in packed if found.ok is False] == []
