"""Whether a model can be split over so many ranks: by the engine, by the model's shape, and by the machine."""

from __future__ import annotations

from bench_deepspeed.core import capabilities
from bench_deepspeed.core.errors import MachineError, UsageError
from bench_deepspeed.machine import environment
from bench_deepspeed.model.arithmetic import kv_repeats
from bench_deepspeed.model.catalog import ModelSpec

ENGINES = ("mii", "deepspeed", "transformers", "fake")
"""Those that run on several ranks."""
MII_MULTIPLE = 32
"""Each rank's part of the MLP must be a multiple of it (DeepSpeed 0.19.8, sharding/mlp.py)."""


def refusal(spec: ModelSpec, engine: str, device: str, precision: str, ranks: int) -> str | None:
    """Why no machine splits this model so, in words; None where some do, and for one rank."""
    if ranks == 1 or engine == "fake":
        return None
    if engine not in ENGINES:
        return f"{engine} runs on one rank: use {', '.join(ENGINES[:-1])}"
    if capabilities.cell(engine, device, precision).packing is not None:
        return f"{engine} does not split packed weights ({precision}): name a precision that is not packed"
    reason = {"mii": _mii, "deepspeed": _auto_tp, "transformers": _even}[engine](spec, ranks)
    return reason and f"{engine} cannot split {spec.name} over {ranks} ranks: {reason}"


def _auto_tp(spec: ModelSpec, ranks: int) -> str | None:
    """AutoTP gives each rank whole KV heads with their query heads, as many as it can, or one more."""
    kv = spec.shape["num_key_value_heads"]
    return None if kv >= ranks else f"it has {kv} KV heads, and each rank needs one: {kv} ranks at most"


def _even(spec: ModelSpec, ranks: int) -> str | None:
    """Transformers cuts matrices into equal parts, which must be whole heads."""
    for name in ("num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size"):
        if spec.shape[name] % ranks:
            return f"its {name} of {spec.shape[name]} is no multiple of {ranks}"
    return None


def _mii(spec: ModelSpec, ranks: int) -> str | None:
    """As DeepSpeed 0.19.8 shards (inference/v2/model_implementations/sharding), of the KV heads that MII stores."""
    shape = spec.shape
    query, kv = shape["num_attention_heads"], shape["num_key_value_heads"]
    kv *= kv_repeats(query, kv)
    if query < ranks:
        return f"it has {query} attention heads"
    if kv != query and (kv % ranks if kv >= ranks else ranks % kv):
        return f"its {kv} KV heads cannot be shared out evenly"
    if shape["vocab_size"] % ranks:
        return f"its vocab_size of {shape['vocab_size']} is no multiple of {ranks}"
    if shape["intermediate_size"] % MII_MULTIPLE:
        return f"its intermediate_size of {shape['intermediate_size']} is no multiple of {MII_MULTIPLE}"
    return None


def require_possible(spec: ModelSpec, engine: str, device: str, precision: str, ranks: int) -> None:
    """Raise UsageError for what no machine splits so, before anything is fetched or loaded."""
    if reason := refusal(spec, engine, device, precision, ranks):
        raise UsageError(f"--tensor_parallel {ranks}: {reason}")


def lacking(device: str, engine: str, ranks: int) -> str | None:
    """What this machine has fewer of than there are ranks, in words: GPUs, or on a CPU its cores; None: enough."""
    if ranks == 1 or engine == "fake":
        return None
    there, what = (environment.visible_gpus(), "GPU") if device == "cuda" else (len(environment.allowed_cpus()), "CPU")
    if ranks <= there:
        return None
    return f"each rank needs a {what} of its own, and this machine offers {there}: name {there} at most"


def require_here(device: str, engine: str, ranks: int) -> None:
    """Raise MachineError for more ranks than this machine has devices for."""
    if reason := lacking(device, engine, ranks):
        raise MachineError(f"--tensor_parallel {ranks}: {reason}")
