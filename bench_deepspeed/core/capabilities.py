"""What runs in which precision: one table, engine × device × precision → by what it runs, or why it does not.

It is the one source of what is refused, of the help, `doctor`, `models` and docs/reference/precisions.md. Standard
library alone. A reason names the version that it holds for; a test compares these with requirements.txt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .precision import NAMES, PRECISIONS

DEFAULT = {"cuda": "float16", "cpu": "float32"}
"""The precision where none is named."""
DEVICES = tuple(DEFAULT)
GROUP = 64
"""Weights that share a scale where that is a choice: it divides every layer of the suite's models."""


@dataclass(frozen=True)
class Packing:
    """How a matrix of a layer, of shape (outputs, inputs), is stored in few bits.

    `bits` of a weight; `group` weights along `axis` (0: the outputs, 1: the inputs) share `group_bytes` of scale and
    zero point, all of the axis where it is None. Outputs and inputs must be multiples of `multiples`, and are filled up
    to multiples of `padding`.
    """

    bits: int
    group: int | None
    axis: int
    group_bytes: int
    multiples: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (1, 1)

    def size_bytes(self, shape: tuple[int, int]) -> int:
        """Bytes of a matrix with its scales and zero points."""
        outputs, inputs = (-(-size // step) * step for size, step in zip(shape, self.padding, strict=True))
        groups = outputs * inputs // (self.group or (outputs, inputs)[self.axis])
        return self.bits * outputs * inputs // 8 + self.group_bytes * groups

    def fits(self, shape: tuple[int, int]) -> bool:
        """Whether a matrix can be stored so."""
        return all(size % step == 0 for size, step in zip(shape, self.multiples, strict=True))

    @property
    def words(self) -> str:
        """The groups in words."""
        along = ("outputs", "inputs")[self.axis]
        return f"groups of {self.group} along the {along}" if self.group else f"one scale for all {along}"


@dataclass(frozen=True)
class Cell:
    """One engine in one precision on one device: by what `path` it runs, or the `reason` why it does not.

    `compute`: the precision of the products, and of all that is stored as it is: embeddings, output head, norms, KV
    cache. `packing`: how the layers' matrices are stored; None: in `compute` too. `library`: a package that it needs in
    addition to the engine's own. `major`: the one major compute capability that it runs on, elsewhere `reason` holds.
    """

    path: str = ""
    compute: str = ""
    reason: str = ""
    packing: Packing | None = None
    library: str | None = None
    major: int | None = None


TORCHAO = "torchao"
DEEPSPEED_GROUPS = {
    "int8": Packing(8, GROUP, 0, 4, (GROUP, 1)),
    "int4": Packing(4, GROUP, 0, 4, (GROUP, 2)),
}
"""A float16 scale and minimum for each group."""
TORCHAO_PACKING = {
    "int8": Packing(8, None, 1, 5),  # a float32 scale and an int8 zero point for each row
    "fp8": Packing(8, None, 1, 4),
    # tinygemm's tiles: inputs in multiples of 1024, and bfloat16 for scale and zero point
    "int4": Packing(4, GROUP, 1, 4, (1, GROUP), (8, 1024)),
}
MII_SIX_BITS = Packing(6, None, 1, 2, (256, 64))
NO_FP6 = "no library that Transformers 5.17.0 takes packs 6 bits: torchao 0.18.0 stores them in 8"


def _plain(path: str, *precisions: str) -> dict[str, Cell]:
    """Weights and products in the precision itself."""
    return {precision: Cell(path, precision) for precision in precisions}


def _refused(reason: str, *precisions: str) -> dict[str, Cell]:
    return {precision: Cell(reason=reason) for precision in precisions}


def _groupwise() -> dict[str, Cell]:
    """DeepSpeed's quantization refuses all but float16 ("Model weight is expected in half")."""
    return {
        precision: Cell("DeepSpeed's group-wise weight quantization", "float16", packing=packing)
        for precision, packing in DEEPSPEED_GROUPS.items()
    }


def _torchao(compute: str, config: str, precision: str) -> dict[str, Cell]:
    """Weights alone; products in a precision that has float32's range: torchao's int8 overflows in float16."""
    packing = TORCHAO_PACKING[precision]
    return {precision: Cell(f"Transformers with torchao's {config}", compute, packing=packing, library=TORCHAO)}


MII = {
    "cuda": {
        **_plain("MII", "float16", "bfloat16"),
        **_refused("MII 0.3.3 takes float16 and bfloat16 alone (llama_v2/model.py)", "float32"),
        **_refused("MII 0.3.3 has no quantization but 6-bit weights (wf6af16)", "int8", "int4", "fp8"),
        "fp6": Cell(
            "MII, wf6af16",
            "float16",
            "DeepSpeed 0.19.8 compiles its 6-bit kernel for compute capability 8.x alone",
            MII_SIX_BITS,
            "qtorch",
            8,
        ),
    },
    "cpu": _refused(
        "MII's kernels run on CUDA only: use --engine deepspeed, or -d cuda on a machine with a GPU", *NAMES
    ),
}
DEEPSPEED = {
    "cuda": {
        **_plain("init_inference", *PRECISIONS),
        **_groupwise(),
        **_refused(
            "it needs the op fp_quantizer, which DeepSpeed 0.19.8 does not compile with CUDA 13 "
            "(fp_quantize_impl.cu: template parameter q_exponent_bits redeclared)",
            "fp8",
            "fp6",
        ),
    },
    "cpu": {
        **_plain("init_inference", "float32", "bfloat16"),
        **_refused("init_inference of DeepSpeed 0.19.8 takes float32 and bfloat16 there", "float16"),
        **_groupwise(),
        **_refused("DeepSpeed 0.19.8's quantized linear is not implemented on its CPU backend", "fp8", "fp6"),
    },
}
TRANSFORMERS = {
    "cuda": {
        **_plain("Transformers", *PRECISIONS),
        **_torchao("bfloat16", "Int8WeightOnlyConfig", "int8"),
        **_torchao("bfloat16", "Int4WeightOnlyConfig (tile_packed_to_4d)", "int4"),
        **_torchao("bfloat16", "Float8WeightOnlyConfig", "fp8"),
        **_refused(NO_FP6, "fp6"),
    },
    "cpu": {
        **_plain("Transformers", *PRECISIONS),
        **_torchao("float32", "Int8WeightOnlyConfig", "int8"),
        **_refused("torchao 0.18.0 packs int4 for a CPU only in its prototypes, which are not used here", "int4"),
        **_torchao("float32", "Float8WeightOnlyConfig", "fp8"),
        **_refused(NO_FP6, "fp6"),
    },
}
FAKE = {
    "cuda": _refused("it runs on cpu", *NAMES),
    "cpu": {**_refused("it computes nothing", *NAMES), **_plain("waiting", "float32")},
}
TABLE: Mapping[str, Mapping[str, Mapping[str, Cell]]] = {
    "mii": MII,
    "deepspeed": DEEPSPEED,
    "transformers": TRANSFORMERS,
    "transformers_compiled": TRANSFORMERS,
    "fake": FAKE,
}
"""Engine → device → precision → cell; every cell is there."""


def cell(engine: str, device: str, precision: str) -> Cell:
    """The cell; of a result whose engine or precision this version does not have, one that is nothing but itself."""
    known = TABLE.get(engine, {}).get(device, {}).get(precision)
    if known is None or not known.path:
        return Cell(compute=precision if precision in PRECISIONS else "", reason=known.reason if known else "")
    return known


def compute_of(engine: str, device: str, precision: str) -> str:
    """The precision of the products."""
    return cell(engine, device, precision).compute


def runs(engine: str, device: str) -> tuple[str, ...]:
    """The precisions that an engine runs in on a device, on some machine."""
    return tuple(name for name in NAMES if TABLE[engine][device][name].path)


def devices(engine: str) -> tuple[str, ...]:
    """The devices that an engine runs on."""
    return tuple(device for device in DEVICES if runs(engine, device))


def refusal(engine: str, device: str, precision: str) -> str | None:
    """Why no machine runs it, in words; None where some do."""
    can = runs(engine, device)
    if not can:
        return f"{engine} does not run on {device}: {TABLE[engine][device][precision].reason}"
    if precision in can:
        return None
    return (
        f"{engine} does not run in {precision} on {device}: {TABLE[engine][device][precision].reason}; "
        f"it takes {', '.join(can)}"
    )
