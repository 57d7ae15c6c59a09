"""What runs in which precision: the table, what it refuses and when, and the bytes that packed weights take."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest
from support import unwrapped

from bench_deepspeed.benchmarks.common import precisions
from bench_deepspeed.cli.doctor import software as doctor_software
from bench_deepspeed.core import capabilities
from bench_deepspeed.core.capabilities import TABLE, Cell, Packing
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.precision import NAMES, PRECISIONS
from bench_deepspeed.engines import ENGINES
from bench_deepspeed.machine import environment, software
from bench_deepspeed.measure.records import Gpu
from bench_deepspeed.model import arithmetic, catalog

CELLS = list(itertools.product(ENGINES, capabilities.DEVICES, NAMES))
LLAMA, SMOLLM2 = catalog.load("llama"), catalog.load("smollm2")


@pytest.mark.parametrize("key", CELLS, ids=" ".join)
def test_every_cell_has_a_path_or_a_reason(key):
    engine, device, precision = key
    cell = TABLE[engine][device][precision]
    assert bool(cell.path) == (cell.compute in PRECISIONS)
    assert bool(cell.path) != bool(cell.reason) or cell.major is not None
    assert (cell.packing is not None) == (bool(cell.path) and precision not in PRECISIONS)
    reason = capabilities.refusal(*key)
    assert (reason is None) == bool(cell.path)
    assert reason is None or cell.reason in reason


def test_every_version_in_a_reason_is_the_one_that_is_pinned():
    pins = {"DeepSpeed": "deepspeed", "MII": "deepspeed-mii", "Transformers": "transformers", "torchao": "torchao"}
    text = " ".join(TABLE[engine][device][name].reason for engine, device, name in CELLS)
    found = set(re.findall(r"(\w+) (\d+\.\d+\.\d+)", text))
    assert {library for library, _ in found} == set(pins)
    assert {(pins[library], version) for library, version in found} <= set(doctor_software.pins().items())


def test_a_group_that_does_not_divide_a_layer_is_refused_by_name():
    odd = dataclasses.replace(SMOLLM2, shape={**SMOLLM2.shape, "intermediate_size": 1000})
    reason = precisions.refusal(odd, "deepspeed", "cpu", "int8")
    assert "model.layers.0.mlp.gate_proj.weight has 1000 × 576 weights" in reason
    assert "multiples of 64 × 1 (groups of 64 along the outputs)" in reason
    assert precisions.refusal(odd, "transformers", "cpu", "int8") is None  # a scale a row
    assert "down_proj.weight has 576 × 1000" in precisions.refusal(odd, "transformers", "cuda", "int4")
    for spec, name in itertools.product((LLAMA, SMOLLM2, catalog.load("mistral")), ("int8", "int4")):
        assert precisions.refusal(spec, "deepspeed", "cuda", name) is None


def test_six_bits_take_shapes_that_the_kernel_has_and_a_gpu_that_it_is_compiled_for(monkeypatch):
    assert "q_proj.weight has 576 × 576 weights" in precisions.refusal(SMOLLM2, "mii", "cuda", "fp6")
    assert precisions.refusal(LLAMA, "mii", "cuda", "fp6") is None
    monkeypatch.setattr(software, "installed_version", lambda name: "1.0")
    monkeypatch.setattr(environment, "gpus", lambda: [Gpu("H100", "9.0", 81559, "580")])
    with pytest.raises(MachineError, match=r"compute capability 8.x alone, and this GPU has 9.0"):
        precisions.require_here("mii", "cuda", "fp6")
    monkeypatch.setattr(environment, "gpus", lambda: [Gpu("A100", "8.0", 81559, "580")])
    precisions.require_here("mii", "cuda", "fp6")


def test_a_library_that_is_missing_is_reported_where_the_packages_are(monkeypatch):
    installed = {"torch": "2.13.0"}
    monkeypatch.setattr(software, "installed_version", installed.get)
    with pytest.raises(MachineError, match="int8 needs the package torchao, which is not installed: pip install"):
        precisions.require_here("transformers", "cpu", "int8")
    precisions.require_here("deepspeed", "cpu", "int8")
    installed.clear()  # before set-up
    precisions.require_here("transformers", "cpu", "int8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--precision", "int8,int4"], "one precision here; `bench.sh sweep --precisions`"),
        (["--precision", "int3"], "'int3' is none of float32, bfloat16, float16, int8, int4, fp8, fp6"),
        (["--precision", "fp8"], "deepspeed does not run in fp8 on cpu: DeepSpeed 0.19.8's quantized linear"),
        (["-d", "cuda", "--engine", "mii", "--precision", "int4"], "MII 0.3.3 has no quantization but 6-bit"),
        (["-d", "cuda", "--engine", "deepspeed", "--precision", "fp6"], "does not compile with CUDA 13"),
        (["--engine", "transformers", "--precision", "int4"], "packs int4 for a CPU only in its prototypes"),
        (["sweep", "--engines", "mii", "--precisions", "all"], "--engines mii does not run on cpu"),
        (["quality", "--engine", "deepspeed", "--precision", "int8,fp8"], "deepspeed does not run in fp8"),
    ],
)
def test_what_cannot_run_is_one_line_before_anything_is_fetched(bench, tmp_path, arguments, words):
    command = arguments[:1] if not arguments[0].startswith("-") else []
    device = [] if "-d" in arguments else ["-d", "cpu"]
    message = bench.refusal(2, *command, *device, "--models_dir", "weights", *arguments[len(command) :])
    assert words in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("packing", "shape", "expected"),
    [
        (Packing(8, 64, 0, 4), (128, 96), 128 * 96 + 4 * 2 * 96),
        (Packing(4, 64, 0, 4), (128, 96), 128 * 96 // 2 + 4 * 2 * 96),
        (Packing(8, None, 1, 5), (128, 96), 128 * 96 + 5 * 128),
        (Packing(4, 64, 1, 4, padding=(8, 1024)), (100, 576), 104 * 1024 // 2 + 4 * 104 * 16),
        (Packing(6, None, 1, 2), (256, 64), 256 * 64 * 6 // 8 + 2 * 256),
    ],
)
def test_a_packed_matrix_takes_its_bits_and_its_scales(packing, shape, expected):
    assert packing.size_bytes(shape) == expected


def test_a_step_reads_packed_layers_and_the_rest_as_it_is():
    """Llama 2: int8 with two float16 numbers for 64 weights; the output head and the norms in float16."""
    cell = capabilities.cell("deepspeed", "cuda", "int8")
    layers = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
    rest = 32000 * 4096 + 65 * 4096  # the head, and two norms a layer and one at the end
    kv = 2 * 2 * 32 * 4096 * 10
    read = arithmetic.decode_bytes(LLAMA, cell.compute, 10, cell.packing)
    assert read == layers * (1 + 4 / 64) + 2 * rest + kv
    assert arithmetic.weight_bytes(LLAMA, cell.compute, cell.packing) == read - kv + 2 * 32000 * 4096
    assert arithmetic.decode_bytes(LLAMA, "float16", 10) == 2 * (layers + rest) + kv


def test_a_result_of_an_engine_that_this_version_does_not_have_is_in_its_precision():
    assert capabilities.cell("gone", "cuda", "float16") == Cell(compute="float16")
    assert capabilities.compute_of("mii", "cuda", "float32") == "float32"


def test_models_says_what_runs_here_and_why_the_rest_does_not(bench):
    done = bench("models", env={"COLUMNS": "80", "CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 0, done.stderr
    text = unwrapped(done.stdout)
    assert "deepspeed: float32, bfloat16, int8, int4; not float16: init_inference" in text
    assert f"mii: none; not {', '.join(NAMES)}: MII's kernels run on CUDA only" in text
